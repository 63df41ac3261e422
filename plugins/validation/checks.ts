import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { MAX_PROBLEMS } from './problems.ts';

/** Formats of ajv-formats that take long for a long text. A schema with one is refused. */
const SLOW_FORMATS = ['regex', 'url', 'iso-date-time'];

/** It takes long for a long text too. */
const dateTime = addFormats.default.get('date-time') as { validate(text: string): boolean };

/** How many values of a body are searched for problems: about the cost of parsing it. */
const MAX_VALUES = 1_000;

/** Problems that an object or array may show only because its later values were cut. */
const FALSE_PROBLEMS = ['required', 'minItems', 'minProperties', 'contains', 'dependentRequired'];

/** Converts text to another type. ajv's own coercion also accepts 0x10, 1e2, " 5", +5 and 5.0. */
const READERS: Record<string, (text: string) => unknown> = {
  integer: (text) => (/^-?\d+$/.test(text) ? Number(text) : undefined),
  number: (text) => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined),
  boolean: (text) => (/^(true|false)$/.test(text) ? text === 'true' : undefined),
  null: (text) => (text === '' ? null : undefined),
  array: (text) => [text],
};

export type Schemas = Record<string, object>;

/** Checks a value. Gives its first problems, or null if it has no problem. */
export type Check = (value: unknown) => ErrorObject[] | null;

/** Creates the validator of bodies. Process types other than `web` can use it too. */
export function createAjv(options: Options = {}, schemas: Schemas = {}): Ajv {
  const logger = { ...console, warn: refuseSchema };
  // Optimizing takes a third of the time to compile, and the result is not faster.
  const code = { optimize: false };
  const ajv = new Ajv({ useDefaults: true, strict: false, logger, code, ...options });
  addFormats.default(ajv);
  ajv.addFormat('date-time', (text) => text.length < 100 && dateTime.validate(text));
  // ajv-formats also accepts urn:uuid:…, but PostgreSQL does not.
  ajv.addFormat('uuid', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i);
  for (const name of SLOW_FORMATS) delete ajv.formats[name];
  for (const [id, schema] of Object.entries(schemas))
    explainFailure(`${id} of app.addSchema`, () => ajv.addSchema(schema));
  return ajv;
}

/** Without strict mode, Ajv only warns of a format that it does not know, and ignores it. */
function refuseSchema(warning: string): never {
  throw new Error(warning);
}

/** @throws an error that says which schema is wrong, why, and what to do */
export function explainFailure<Result>(
  which: string,
  compile: () => Result,
  remedy = 'add what it refers to by app.addSchema',
): Result {
  try {
    return compile();
  } catch (cause) {
    const reason = `The schema ${which} cannot be compiled: ${(cause as Error).message}`;
    throw new Error(`${reason}. Correct it, or ${remedy}.`, { cause });
  }
}

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

/**
 * Checks paths, queries and headers, which are all text. If the schema wants another type, the text
 * is converted in place. `ajv` must have `allErrors`.
 */
export function compileText(ajv: Ajv, schema: object): Check {
  const validate = ajv.compile(schema) as ValidateFunction<Texts>;
  const check = (values: Texts): ErrorObject[] | null => {
    if (validate(values)) return findBrackets(values, validate);
    const problems = validate.errors!;
    const solved = problems.filter((problem) => convertText(values, problem));
    return solved.length > 0 ? check(values) : problems.slice(0, MAX_PROBLEMS);
  };
  return (values) => check(values as Texts);
}

type Texts = Record<string, unknown>;

/** @returns whether the text was converted to the type of the schema, which solves the problem */
function convertText(values: Texts, { keyword, params, instancePath }: ErrorObject): boolean {
  if (keyword !== 'type') return false;
  const [, name = '', index] = instancePath
    .split('/')
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  const parent = index === undefined ? values : (values[name] as Texts);
  const text = parent[index ?? name];
  if (typeof text !== 'string') return false;
  const types: string[] = [params.type].flat();
  const value = types.map((type) => READERS[type]?.(text)).find((read) => read !== undefined);
  if (value !== undefined) parent[index ?? name] = value;
  return value !== undefined;
}

/** Refuses `limit[]`, the PHP form of a list. A schema ignores it as an unknown name. */
function findBrackets(values: Texts, validate: ValidateFunction): ErrorObject[] | null {
  const names = Object.keys(values).filter((name) => name.includes('['));
  if (names.length === 0) return null;
  // A name of the schema has a type, and a symbol matches no type. Unknown names stay valid.
  const symbols = names.map((name) => [name.split('[', 1)[0], Symbol()]);
  if (validate({ ...values, ...Object.fromEntries(symbols) })) return null;
  const name = validate.errors![0]!.instancePath.slice(1);
  const message = `must have ${name} without brackets, repeated for each value of a list`;
  return [{ instancePath: '', message, keyword: 'type', schemaPath: '', params: {} }];
}
