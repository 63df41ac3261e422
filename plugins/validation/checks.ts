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
  type?: string | string[];
  $ref?: string;
  items?: TextSchema;
  allOf?: TextSchema[];
  anyOf?: TextSchema[];
  oneOf?: TextSchema[];
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
  const properties = listParts(ajv, schema, schema).flatMap((part) =>
    Object.entries(part.properties ?? {}),
  );
  const names = new Set(properties.map(([name]) => name));
  const isInteger = ([, property]: [string, TextSchema]) => {
    const types = listParts(ajv, schema, property).flatMap(({ type = [] }) => type);
    return types.includes('integer') && !types.includes('number');
  };
  const integers = new Set(properties.filter(isInteger).map(([name]) => name));
  return (value) => {
    const values = value as Record<string, unknown>;
    const texts = Object.entries(values).map(([name, text]) => [name, [text].flat()] as const);
    const found = validate(values) ? [] : validate.errors!;
    for (const [name, given] of texts) {
      if (isMisread(given, [values[name]].flat(), integers.has(name)))
        found.push(describe(`/${name}`, `must be ${integers.has(name) ? 'integer' : 'number'}`));
      const [base = ''] = name.split('[');
      if (base !== name && names.has(base))
        found.push(
          describe('', `must have ${base} without brackets, again for each value of a list`),
        );
    }
    return found.length === 0 ? null : found.slice(0, MAX_PROBLEMS);
  };
}

/** A schema and those of which it consists, as `$ref` and `anyOf` name them. */
function listParts(
  ajv: Ajv,
  root: TextSchema,
  schema: TextSchema,
  parts = new Set<TextSchema>(),
): TextSchema[] {
  if (parts.has(schema)) return [];
  parts.add(schema);
  const { $ref, items, allOf = [], anyOf = [], oneOf = [] } = schema;
  const referred = $ref && resolve(ajv, root, $ref);
  for (const part of [referred, items, ...allOf, ...anyOf, ...oneOf])
    if (part) listParts(ajv, root, part, parts);
  return [...parts];
}

/** What a `$ref` names: a part of the schema itself, or a schema that the app has added. */
function resolve(ajv: Ajv, root: TextSchema, ref: string): TextSchema | undefined {
  if (!ref.startsWith('#/')) return ajv.getSchema(ref)?.schema as TextSchema | undefined;
  const keys = ref.slice(2).split('/');
  return keys.reduce((part: unknown, key) => Object(part)[key], root) as TextSchema | undefined;
}

/** ajv also reads 0x10, 1e2, " 5", +5 and 5.0 as integers, and passes over limit[], which is a limit to PHP. */
function isMisread(texts: unknown[], values: unknown[], isInteger: boolean): boolean {
  const form = isInteger ? /^-?\d+$/ : /^-?\d+(\.\d+)?$/;
  return values.some((value, at) => typeof value === 'number' && !form.test(`${texts[at]}`));
}

function describe(instancePath: string, message: string): ErrorObject {
  return { instancePath, message, keyword: 'type', schemaPath: '', params: {} };
}
