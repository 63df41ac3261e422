import type { FastifySchema } from 'fastify';

type Schema = Record<string, unknown>;

/** The parts of a request whose fields are parameters in OpenAPI. */
const PARAMETERS = ['querystring', 'params', 'headers'] as const;

/**
 * Converts what @fastify/swagger leaves as it is. `$defs` become schemas of the document, because
 * `#/$defs/…` would be at its root. JSON Schema 2020-12, as in OpenAPI 3.1, has another form for
 * tuples. Parameters without names, as of Type.Record, cannot be listed.
 */
export class Definitions {
  /** The schemas by their names in the document. */
  readonly schemas: Record<string, unknown> = {};
  /** The name of each schema by its text. */
  readonly #names = new Map<string, string>();

  convert(schema: FastifySchema): FastifySchema {
    const names = new Map<string, string>();
    JSON.stringify(schema, (key, value) => {
      if (key === '$defs')
        for (const [name, one] of Object.entries(value))
          names.set(name, this.#pickName(name, JSON.stringify(one)));
      return value;
    });
    const converted = JSON.parse(JSON.stringify(schema), (key, value) => {
      if (key === '$ref') return rewrite(value, names);
      if (key !== '$defs') return Array.isArray(value?.items) ? convertTuple(value) : value;
      for (const [name, { $id: _, ...one }] of Object.entries<Schema>(value))
        this.schemas[names.get(name)!] = one;
      return undefined;
    });
    for (const part of PARAMETERS)
      if (converted[part]?.additionalProperties) converted[part].properties ??= {};
    return converted;
  }

  /** Two routes may have different schemas of one name. */
  #pickName(name: string, text: string): string {
    const known = this.#names.get(text);
    if (known) return known;
    const taken = new Set(this.#names.values());
    let picked = name;
    for (let count = 2; taken.has(picked); count++) picked = `${name}-${count}`;
    this.#names.set(text, picked);
    return picked;
  }
}

/** @param reference `#/$defs/Tree`, or `Tree` as Type.Cyclic writes it */
function rewrite(reference: string, names: Map<string, string>): string {
  const name = names.get(reference.replace(/^#\/\$defs\//, ''));
  return name ? `#/components/schemas/${name}` : reference;
}

function convertTuple({ items, additionalItems = true, ...schema }: Schema): Schema {
  return { ...schema, prefixItems: items, items: additionalItems };
}
