import type { Ajv, ErrorObject, ValidateFunction } from 'ajv';
import { compileSchema, refuseUncheckable } from './ajv.ts';
import type { Check } from './body.ts';
import { MAX_PROBLEMS } from './problems.ts';

/** Converts text to another type. ajv's own coercion also accepts 0x10, 1e2, " 5", +5 and 5.0. */
const READERS: Record<string, (text: string) => unknown> = {
  integer: (text) => (/^-?\d+$/.test(text) ? Number(text) : undefined),
  number: (text) => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined),
  boolean: (text) => (/^(true|false)$/.test(text) ? text === 'true' : undefined),
  null: (text) => (text === '' ? null : undefined),
  array: (text) => [text],
};

/** The keywords whose schemas are named by properties. */
const NAMED = ['properties', 'dependentRequired', 'dependentSchemas'];

type Texts = Record<string, unknown>;

/** Checks paths, queries and headers, and converts them in place. `ajv` must have `allErrors`. */
export function compileText(ajv: Ajv, schema: object): Check {
  const validate = compileSchema(ajv, schema) as ValidateFunction<Texts>;
  const check = (values: Texts): ErrorObject[] | null => {
    if (validate(values)) return findBrackets(values, validate);
    const problems = validate.errors!;
    const solved = problems.filter((problem) => convertText(values, problem));
    return solved.length > 0 ? check(values) : problems.slice(0, MAX_PROBLEMS);
  };
  return (values) => check(values as Texts);
}

/** Node gives the names of headers in lower case. A schema in a `$ref` must be so already. */
export function lowerCaseNames(schema: { $id?: string }): object {
  const lower = (name: string) => name.toLowerCase();
  const lowerAll = (value: unknown) => (Array.isArray(value) ? value.map(lower) : value);
  const { $id } = schema;
  const isRecursive = JSON.stringify(schema).includes(`"$ref":"${$id}`);
  // Another copy or the shared schema may have that name.
  const copy = isRecursive ? schema : { ...schema, $id: undefined };
  // The copy would lack what it refuses.
  refuseUncheckable(schema);
  return JSON.parse(JSON.stringify(copy), (key, value) => {
    if (key === 'required') return lowerAll(value);
    if (!NAMED.includes(key)) return value;
    const entries = Object.entries(value).map(([name, one]) => [lower(name), lowerAll(one)]);
    return Object.fromEntries(entries);
  });
}

function convertText(values: Texts, { keyword, params, instancePath }: ErrorObject): boolean {
  const [, name = '', index] = instancePath
    .split('/')
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  const parent = index === undefined ? values : (values[name] as Texts | undefined);
  const text = parent?.[index ?? name];
  if (typeof text !== 'string') return false;
  const value = keyword === 'type' ? readType(text, params.type) : findAllowed(text, params);
  if (value !== undefined) parent![index ?? name] = value;
  return value !== undefined;
}

function readType(text: string, type: string | string[]): unknown {
  const types = [type].flat();
  return types.map((one) => READERS[one]?.(text)).find((read) => read !== undefined);
}

/** The value of an `enum` or `const` without a type, such as 20 for the text "20". */
function findAllowed(text: string, { allowedValues, allowedValue }: Texts): unknown {
  const allowed = (allowedValues ?? [allowedValue]) as unknown[];
  return allowed.find((value) => typeof value !== 'string' && `${value}` === text);
}

/** Refuses `limit[]`, the PHP form of a list. A schema ignores it as an unknown name. */
function findBrackets(values: Texts, validate: ValidateFunction): ErrorObject[] | null {
  const names = Object.keys(Object(values)).filter((name) => name.includes('['));
  if (names.length === 0) return null;
  const pairs = names.map((name): [string, string] => [name, name.split('[', 1)[0]!]);
  // Both names get a symbol, which fits no check. An error at `limit`, but none at `limit[]`, means
  // that the schema knows only `limit`.
  const symbols = Object.fromEntries(pairs.flat().map((name) => [name, Symbol()]));
  if (validate({ ...values, ...symbols })) return null;
  const known = new Set(validate.errors!.map(({ instancePath }) => instancePath.slice(1)));
  const [, name] = pairs.find(([full, name]) => known.has(name) && !known.has(full)) ?? [];
  if (name === undefined) return null;
  const message = `must have ${name} without brackets, repeated for each value of a list`;
  return [{ instancePath: '', message, keyword: 'type', schemaPath: '', params: {} }];
}
