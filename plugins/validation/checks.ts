import { Ajv, type AnySchemaObject, type ErrorObject, type Options } from 'ajv';
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
export function compileText(ajv: Ajv, schema: AnySchemaObject): Check {
  const validate = ajv.compile<Record<string, unknown>>(schema);
  const properties = listParts(ajv, schema, schema).flatMap((part) =>
    Object.entries<AnySchemaObject>(part.properties ?? {}),
  );
  const isInteger = new Map<string, boolean>();
  for (const [name, property] of properties) {
    const types = listParts(ajv, schema, property).flatMap(({ type = [] }) => type);
    isInteger.set(name, types.includes('integer') && !types.includes('number'));
  }
  return (value) => {
    const values = value as Record<string, unknown>;
    // Copied: ajv reads the values of a list into the list itself.
    const texts = Object.entries(values).map(([name, text]) => [name, [text].flat()] as const);
    const found = validate(values) ? [] : validate.errors!;
    const misread = texts.flatMap(([name, given]) =>
      findMisread(name, given, values[name], isInteger),
    );
    return found.length + misread.length > 0 ? [...found, ...misread].slice(0, MAX_PROBLEMS) : null;
  };
}

/** A schema and those of which it consists, as `$ref` and `anyOf` name them. */
function listParts(
  ajv: Ajv,
  root: AnySchemaObject,
  schema: AnySchemaObject,
  parts = new Set<AnySchemaObject>(),
): AnySchemaObject[] {
  if (parts.has(schema)) return [];
  parts.add(schema);
  const { $ref, items, allOf = [], anyOf = [], oneOf = [] } = schema;
  const referred = $ref && resolve(ajv, root, $ref);
  for (const part of [referred, items, ...allOf, ...anyOf, ...oneOf])
    if (part) listParts(ajv, root, part, parts);
  return [...parts];
}

/** What a `$ref` names: a part of the schema itself, or a schema that the app has added. */
function resolve(ajv: Ajv, root: AnySchemaObject, ref: string): AnySchemaObject | undefined {
  if (!ref.startsWith('#/')) return ajv.getSchema(ref)?.schema as AnySchemaObject | undefined;
  const keys = ref.slice(2).split('/');
  return keys.reduce((part: AnySchemaObject | undefined, key) => part?.[key], root);
}

/** ajv also reads 0x10, 1e2, " 5", +5 and 5.0 as integers, and passes over limit[] (PHP's form). */
function findMisread(
  name: string,
  texts: unknown[],
  value: unknown,
  isInteger: Map<string, boolean>,
): ErrorObject[] {
  const form = isInteger.get(name) ? /^-?\d+$/ : /^-?\d+(\.\d+)?$/;
  if ([value].flat().some((one, at) => typeof one === 'number' && !form.test(`${texts[at]}`)))
    return [describe(`/${name}`, `must be ${isInteger.get(name) ? 'integer' : 'number'}`)];
  const [base = ''] = name.split('[');
  if (base === name || !isInteger.has(base)) return [];
  return [describe('', `must have ${base} without brackets, again for each value of a list`)];
}

function describe(instancePath: string, message: string): ErrorObject {
  return { instancePath, message, keyword: 'type', schemaPath: '', params: {} };
}
