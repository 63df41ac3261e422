import { Ajv, type ErrorObject, type Options } from 'ajv';
import addFormats from 'ajv-formats';
import { MAX_PROBLEMS } from './problems.ts';

/**
 * How many values of a body are searched for problems, so that a large one costs no more than its
 * parsing.
 */
const MAX_VALUES = 1_000;

/** What an object or a list of which only the first values are there may seem to lack. */
const LACKS = ['required', 'minItems', 'minProperties', 'contains', 'dependentRequired'];

export type Schemas = Record<string, object>;

/** Checks a value; gives its first problems, or null when there is none. */
export type Check = (value: unknown) => ErrorObject[] | null;

interface TextSchema {
  type?: string;
  items?: TextSchema;
  properties?: Record<string, TextSchema>;
}

/** What checks a body; other process types than `web` check what they are sent with it too. */
export function createAjv(options: Options = {}, schemas: Schemas = {}): Ajv {
  const ajv = new Ajv({ useDefaults: true, strict: false, ...options });
  addFormats.default(ajv, ['date-time', 'uuid']);
  // ajv-formats also takes urn:uuid:…, which PostgreSQL does not.
  ajv.addFormat('uuid', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i);
  for (const schema of Object.values(schemas)) ajv.addSchema(schema);
  return ajv;
}

/**
 * A body is taken as it came: Fastify's default turns 123 into "123", null into "" and drops
 * unknown fields, so that a client's mistake looks like success. The first mistake ends the check;
 * only then are the others searched for.
 *
 * @param all an Ajv with `allErrors`
 */
export function compileBody(ajv: Ajv, all: () => Ajv, schema: object): Check {
  const validate = ajv.compile(schema);
  return (body) => (validate(body) ? null : listProblems(body, validate.errors!, all, schema));
}

function listProblems(body: unknown, first: ErrorObject[], all: () => Ajv, schema: object) {
  const copied = { values: 0 };
  const validate = all().compile(schema);
  validate(copyFirst(body, copied));
  const isWhole = copied.values <= MAX_VALUES;
  const found = (validate.errors ?? []).filter(
    ({ keyword }) => isWhole || !LACKS.includes(keyword),
  );
  return (found.length > 0 ? found : first).slice(0, MAX_PROBLEMS);
}

function copyFirst(value: unknown, copied: { values: number }): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const copy = Array.isArray(value) ? [] : {};
  for (const name of Array.isArray(value) ? value.keys() : Object.keys(value)) {
    if (++copied.values > MAX_VALUES) break;
    Reflect.set(copy, name, copyFirst(Reflect.get(value, name), copied));
  }
  return copy;
}

/**
 * Paths, queries and headers carry only text: numbers and lists are read from it, into the value
 * itself.
 *
 * @param ajv with `coerceTypes` and `allErrors`
 */
export function compileText(ajv: Ajv, schema: TextSchema): Check {
  const validate = ajv.compile<Record<string, unknown>>(schema);
  return (value) => {
    const values = value as Record<string, unknown>;
    const texts = Object.entries(values).map(([name, text]) => [name, [text].flat()] as const);
    const found = validate(values) ? [] : validate.errors!;
    const misread = texts.flatMap(([name, text]) => findMisread(name, text, values[name], schema));
    return found.length + misread.length === 0
      ? null
      : [...found, ...misread].slice(0, MAX_PROBLEMS);
  };
}

/**
 * ajv also reads 0x10, 1e2, " 5", +5 and 5.0 as integers, and passes over limit[], which is a limit
 * to PHP.
 */
function findMisread(
  name: string,
  texts: unknown[],
  read: unknown,
  { properties = {} }: TextSchema,
) {
  const known = properties[name];
  const isWhole = (known?.items ?? known)?.type === 'integer';
  const form = isWhole ? /^-?\d+$/ : /^-?\d+(\.\d+)?$/;
  const isMisread = [read]
    .flat()
    .some((one, at) => typeof one === 'number' && !form.test(`${texts[at]}`));
  if (isMisread) return [describeProblem(`/${name}`, `must be ${isWhole ? 'integer' : 'number'}`)];
  const [base = ''] = name.split('[');
  if (base === name || !Object.hasOwn(properties, base)) return [];
  return [
    describeProblem('', `must have ${base} without brackets, again for each value of a list`),
  ];
}

function describeProblem(instancePath: string, message: string): ErrorObject {
  return { instancePath, message, keyword: 'type', schemaPath: '', params: {} };
}
