import fc, { type Arbitrary } from 'fast-check';
import type { Schema } from './document.ts';

/** Generates values that the schema accepts, including its limits. */
export function generateValid(schema: Schema): Arbitrary<unknown> {
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(generateValid));
  switch (schema.type) {
    case 'object':
      return generateObject(schema);
    case 'array':
      return fc.array(generateValid(schema.items ?? {}), { maxLength: 5 });
    case 'integer':
      return fc.integer({ min: schema.minimum ?? -(2 ** 31), max: schema.maximum ?? 2 ** 31 });
    case 'string':
      return generateText(schema);
    case 'null':
      return fc.constant(null);
    default:
      return fc.jsonValue();
  }
}

/**
 * Generates nearly valid values: beyond a limit by one, of another type, with a field too few or
 * too many.
 */
export function generateNearlyValid(schema: Schema): Arbitrary<unknown> {
  const wrongType = fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    1.5,
    '',
    'text',
    [],
    [null],
    {},
    { a: 1 },
  );
  if (schema.type === 'integer')
    return fc.oneof(
      fc.constantFrom((schema.minimum ?? 0) - 1, (schema.maximum ?? 0) + 1),
      wrongType,
    );
  if (schema.type === 'string') return fc.oneof(generateNearlyValidText(schema), wrongType);
  if (schema.type === 'object') return fc.oneof(generateBrokenObject(schema), wrongType);
  return wrongType;
}

function generateObject({
  properties = {},
  required = [],
  minProperties = 0,
}: Schema): Arbitrary<object> {
  const values = Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name, generateValid(schema)]),
  );
  return fc
    .record(values, { requiredKeys: required })
    .filter((value) => Object.keys(value).length >= minProperties);
}

function generateText({
  minLength = 0,
  maxLength = 1_000,
  pattern = '',
  format,
}: Schema): Arbitrary<string> {
  if (format === 'uuid') return fc.uuid();
  if (format) throw new Error(`The format ${format} is not known to the generator`);
  const text = fc.string({ unit: 'binary', minLength, maxLength });
  const limits = fc
    .tuple(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
      fc.constantFrom(minLength, maxLength),
    )
    .map(([character, length]) => character.repeat(length));
  return fc.oneof(text, limits).filter((value) => new RegExp(pattern, 'u').test(value));
}

function generateNearlyValidText({
  minLength = 0,
  maxLength = 1_000,
  format,
}: Schema): Arbitrary<string> {
  if (format === 'uuid')
    return fc.oneof(
      fc.uuid().map((id) => `${id}0`),
      fc.uuid().map((id) => id.slice(1)),
      fc.string(),
    );
  const tooShort = minLength > 0 ? [''] : [];
  const unstorable = ['\0', 'a\0b', '\ud800', '\udfff', '\udc00\ud800'];
  return fc.oneof(
    fc.constantFrom(...tooShort, ...unstorable),
    fc
      .string({ unit: 'binary-ascii', minLength: 1, maxLength: 1 })
      .map((character) => character.repeat(maxLength + 1)),
  );
}

function generateBrokenObject(schema: Schema): Arbitrary<object> {
  const { properties = {} } = schema;
  const names = Object.keys(properties);
  const unknown = fc.constantFrom(
    '__proto__',
    'constructor',
    'id',
    'createdAt',
    'toString',
    'Title',
    'title ',
    '',
  );
  return generateObject(schema).chain((valid) =>
    fc.oneof(
      fc.constantFrom(...names).map((name) => without(valid, name)),
      fc
        .constantFrom(...names)
        .chain((name) =>
          generateNearlyValid(properties[name]!).map((value) => withField(valid, name, value)),
        ),
      fc.tuple(unknown, fc.jsonValue()).map(([name, value]) => withField(valid, name, value)),
    ),
  );
}

function without(object: object, name: string): object {
  return Object.fromEntries(Object.entries(object).filter(([other]) => other !== name));
}

/** Adds an own field, even for `__proto__`. */
function withField(object: object, name: string, value: unknown): object {
  return Object.fromEntries([...Object.entries(object), [name, value]]);
}
