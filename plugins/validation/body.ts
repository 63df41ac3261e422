import type { Ajv, ErrorObject, ValidateFunction } from 'ajv';
import { MAX_PROBLEMS } from './problems.ts';

/** How many values of a body are searched for problems: about the cost of parsing it. */
const MAX_VALUES = 1_000;

/** Problems that an object or array may show only because its later values were cut. */
const FALSE_PROBLEMS = ['required', 'minItems', 'minProperties', 'contains', 'dependentRequired'];

/** Checks a value. Gives its first problems, or null if it has no problem. */
export type Check = (value: unknown) => ErrorObject[] | null;

/**
 * Checks a body without changing it. Fastify's default turns 123 into "123" and null into "", and
 * drops unknown fields: a client's mistake looks like success. `ajv` stops at the first problem.
 * After that, the Ajv with `allErrors` of `getThorough` finds the others.
 */
export function compileBody(ajv: Ajv, getThorough: () => Ajv, schema: object): Check {
  const validate = ajv.compile(schema);
  return (body) => {
    if (validate(body)) return null;
    const problems = listProblems(body, getThorough().compile(schema));
    return problems.length > 0 ? problems : validate.errors!;
  };
}

function listProblems(body: unknown, validate: ValidateFunction): ErrorObject[] {
  const copied = { values: 0 };
  validate(copyFirst(body, copied));
  const isWhole = copied.values <= MAX_VALUES;
  const problems = validate.errors ?? [];
  return problems
    .filter(({ keyword }) => isWhole || !FALSE_PROBLEMS.includes(keyword))
    .slice(0, MAX_PROBLEMS);
}

function copyFirst(value: unknown, copied: { values: number }): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const copy = Array.isArray(value) ? [] : {};
  const first = Array.isArray(value) ? value.slice(0, MAX_VALUES + 1) : value;
  for (const [name, part] of Object.entries(first)) {
    if (++copied.values > MAX_VALUES) break;
    Reflect.set(copy, name, copyFirst(part, copied));
  }
  return copy;
}
