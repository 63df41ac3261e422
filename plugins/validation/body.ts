import type { Ajv, ErrorObject, ValidateFunction } from 'ajv';
import { checkBounded } from './bounds.ts';
import { compileSchema } from './checks.ts';
import { MAX_PROBLEMS } from './problems.ts';

/** How many values of a body are searched for problems: about the cost of parsing it. */
const MAX_VALUES = 1_000;

/** How many references a check of a body may follow: far more than a MiB has, within a second. */
const MAX_REFERENCES = 500_000;

/** How many the search for problems may follow. It takes a union's other branches too. */
const MAX_SEARCHED = 5_000;

const TOO_NESTED: ErrorObject = {
  instancePath: '',
  keyword: '$ref',
  schemaPath: '',
  params: {},
  message: 'must have fewer levels: with these, it takes too long to check',
};

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
  const validate = compileSchema(ajv, schema);
  return (body) => {
    const fits = checkBounded(validate, body, MAX_REFERENCES);
    if (fits === undefined) return [TOO_NESTED];
    if (fits) return null;
    const problems = listProblems(body, compileSchema(getThorough(), schema));
    return (problems.length > 0 ? problems : validate.errors!).slice(0, MAX_PROBLEMS);
  };
}

function listProblems(body: unknown, validate: ValidateFunction): ErrorObject[] {
  const copied = { values: 0 };
  const fits = checkBounded(validate, copyFirst(body, copied), MAX_SEARCHED);
  const isWhole = copied.values <= MAX_VALUES;
  const problems = (fits === false && validate.errors) || [];
  return problems.filter(({ keyword }) => isWhole || !FALSE_PROBLEMS.includes(keyword));
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
