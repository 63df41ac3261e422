import type { Ajv, ErrorObject, ValidateFunction } from 'ajv';
import { compileSchema } from './ajv.ts';
import { checkBounded } from './bounds.ts';
import { MAX_PROBLEMS } from './problems.ts';

/** How many values of a body are searched for problems: about the cost of parsing it. */
const MAX_VALUES = 1_000;

/** How long a check of a body may take, in milliseconds. A MiB takes about a tenth of a second. */
const MAX_MS = 2_000;

/** How many references the search for problems may follow. It takes all branches of a union. */
const MAX_REFERENCES = 5_000;

/** After how many unions a check looks at the clock, which costs more than a small union. */
const CLOCK_AFTER = 64;

const TOO_NESTED: ErrorObject = {
  instancePath: '',
  keyword: '$ref',
  schemaPath: '',
  params: {},
  message: 'must have fewer levels: it takes too long to check',
};

/** Problems that an object or array may show only because its later values were cut. */
const FALSE_PROBLEMS = ['required', 'minItems', 'minProperties', 'contains', 'dependentRequired'];

/** Checks a value. Gives its first problems, or null if it has no problem. */
export type Check = (value: unknown) => ErrorObject[] | null;

/** Checks a body without conversion: with Fastify's, a mistake would look like success. */
export function compileBody(ajv: Ajv, getThorough: () => Ajv, schema: object): Check {
  const validate = compileSchema(ajv, schema);
  return (body) => {
    const endsAt = performance.now() + MAX_MS;
    let unions = 0;
    const isLate = (keyword: string) =>
      (keyword === '$ref' || ++unions % CLOCK_AFTER === 0) && performance.now() > endsAt;
    const fits = checkBounded(validate, body, isLate);
    if (fits === undefined) return [TOO_NESTED];
    if (fits) return null;
    const problems = listProblems(body, compileSchema(getThorough(), schema));
    return (problems.length > 0 ? problems : validate.errors!).slice(0, MAX_PROBLEMS);
  };
}

function listProblems(body: unknown, validate: ValidateFunction): ErrorObject[] {
  const copied = { values: 0 };
  let left = MAX_REFERENCES;
  const isReached = (keyword: string) => keyword === '$ref' && --left < 0;
  const fits = checkBounded(validate, copyFirst(body, copied), isReached);
  const isWhole = copied.values <= MAX_VALUES;
  const problems = (fits === false && validate.errors) || [];
  return problems.filter(({ keyword }) => isWhole || !FALSE_PROBLEMS.includes(keyword));
}

function copyFirst(value: unknown, copied: { values: number }): unknown {
  // A loop over an upload's bytes would make a name of each.
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  const copy = Array.isArray(value) ? [] : {};
  // Both Object.entries and a loop over a whole array would list all names first.
  const first = Array.isArray(value) ? value.slice(0, MAX_VALUES + 1) : value;
  for (const name in first) {
    if (++copied.values > MAX_VALUES) break;
    Reflect.set(copy, name, copyFirst(Reflect.get(first, name), copied));
  }
  return copy;
}
