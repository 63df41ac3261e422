import type { FastifySchema } from 'fastify';

type Schema = Record<string, unknown>;

const SCHEMAS = (
  'additionalItems additionalProperties allOf anyOf contains else if items not oneOf ' +
  'propertyNames then unevaluatedItems unevaluatedProperties'
).split(' ');

const NAMED_SCHEMAS = ['dependentSchemas', 'patternProperties', 'properties'];

const DEFINITION = /^#\/(\$defs|definitions)\//;

const PARAMETERS = ['querystring', 'params', 'headers'] as const;

/** Converts the tuples and `$defs` that @fastify/swagger leaves, to the form of OpenAPI 3.1. */
export class Definitions {
  readonly schemas: Schema = {};
  readonly #names = new Map<string, string>();

  convert(schema: FastifySchema, shared: object = {}): FastifySchema {
    const convert = (one: unknown) => this.#convert(one, new Map(), shared);
    const converted = { ...schema };
    for (const part of PARAMETERS)
      if (schema[part])
        converted[part] = listNames(convert(inlineRoot(schema[part] as Schema)) as Schema);
    if (schema.body) converted.body = convertContent(schema.body, convert);
    if (schema.response)
      converted.response = mapValues(schema.response, (one) => convertContent(one, convert));
    return converted;
  }

  /** Converts the document's schemas of app.addSchema in place, and adds those of `$defs`. */
  complete(shared: Schema): void {
    for (const [name, schema] of Object.entries(shared))
      shared[name] = this.#convert(schema, new Map(), shared);
    Object.assign(shared, this.schemas);
  }

  #convert(schema: unknown, outer: Map<string, string>, shared: object): unknown {
    if (Array.isArray(schema)) return schema.map((one) => this.#convert(one, outer, shared));
    if (Object(schema) !== schema) return schema;
    const { $defs, definitions, ...rest } = schema as Schema;
    const own = Object.entries<Schema>({ ...Object(definitions), ...Object($defs) });
    const names = new Map(outer);
    for (const [name, one] of own)
      names.set(name, this.#pickName(name, JSON.stringify(one), shared));
    const convert = (one: unknown) => this.#convert(one, names, shared);
    for (const [name, { $id: _, ...one }] of own) this.schemas[names.get(name)!] = convert(one);
    const entries = Object.entries(rest).map(([key, value]) => {
      if (key === '$ref') return [key, rewrite(value as string, names)];
      if (SCHEMAS.includes(key)) return [key, convert(value)];
      return [key, NAMED_SCHEMAS.includes(key) ? mapValues(value as Schema, convert) : value];
    });
    const converted: Schema = Object.fromEntries(entries);
    return Array.isArray(converted.items) ? convertTuple(converted) : converted;
  }

  /** Two routes may have different schemas of one name. */
  #pickName(name: string, text: string, shared: object): string {
    const known = this.#names.get(text);
    if (known) return known;
    const taken = new Set([...this.#names.values(), ...Object.keys(shared)]);
    let picked = name;
    for (let count = 2; taken.has(picked); count++) picked = `${name}-${count}`;
    this.#names.set(text, picked);
    return picked;
  }
}

function convertContent(part: unknown, convert: (schema: unknown) => unknown): unknown {
  const { content } = Object(part) as { content?: object };
  if (!content) return convert(part);
  const convertType = ({ schema, ...type }: Schema) => ({ ...type, schema: convert(schema) });
  return { ...(part as object), content: mapValues(content, convertType) };
}

function mapValues(schemas: object, convert: (schema: Schema) => unknown): Schema {
  return Object.fromEntries(Object.entries(schemas).map(([name, one]) => [name, convert(one)]));
}

/** Parameters are listed before the document has the schema of a `$ref` to its own `$defs`. */
function inlineRoot(schema: Schema): Schema {
  const { $ref, ...rest } = schema;
  const own: Record<string, Schema> = { ...Object(rest.definitions), ...Object(rest.$defs) };
  const root = own[`${$ref}`.replace(DEFINITION, '')];
  if (!root) return schema;
  const { $id: _, ...inlined } = root;
  return { ...inlined, ...rest };
}

/** Type.Record has no names to list. Without `properties`, its keywords would be listed instead. */
function listNames(schema: Schema): Schema {
  const isCombined = ['allOf', 'anyOf', 'oneOf', '$ref'].some((key) => Object.hasOwn(schema, key));
  return isCombined ? schema : { properties: {}, ...schema };
}

/** `reference` is `#/$defs/Tree`, or `Tree` as Type.Cyclic writes it. */
function rewrite(reference: string, names: Map<string, string>): string {
  const name = names.get(reference.replace(DEFINITION, ''));
  return name ? `#/components/schemas/${name}` : reference;
}

function convertTuple({ items, additionalItems = true, ...schema }: Schema): Schema {
  return { ...schema, prefixItems: items, items: additionalItems };
}
