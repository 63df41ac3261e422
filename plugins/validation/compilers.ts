import { setImmediate } from 'node:timers/promises';
import serializerSelector, { type SerializerCompiler } from '@fastify/fast-json-stringify-compiler';
import { Ajv, type Options } from 'ajv';
import addFormats from 'ajv-formats';
import type { FastifySchemaCompiler, FastifyServerOptions } from 'fastify';

type Schemas = Record<string, object>;
type Factory = NonNullable<
  NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']
>;

/**
 * What makes functions of the routes' schemas, as Fastify's `schemaController` takes it. Each schema is compiled when
 * the first request needs it: to compile all of them would be a third of the time until the port is bound.
 */
export class LazyCompilers {
  readonly #pending = new Set<() => unknown>();

  readonly factory = {
    buildValidator: (schemas: Schemas) => this.#buildValidator(schemas),
    buildSerializer: (schemas: Schemas, options: object) => this.#buildSerializer(schemas, options),
  } as unknown as Factory;

  /** Compiles what no request has needed yet, a schema in a turn; rejects at the first that cannot be compiled. */
  async compilePending(): Promise<void> {
    for (const compile of this.#pending) {
      compile();
      await setImmediate();
    }
  }

  /**
   * A body is taken as it came: Fastify's default turns 123 into "123", null into "" and drops unknown fields, so that
   * a client's mistake looks like success. Paths and queries carry only text, there numbers are read from it.
   */
  #buildValidator(schemas: Schemas): FastifySchemaCompiler<object> {
    const exact = this.#delay(() => createAjv({}, schemas));
    const fromText = this.#delay(() => createAjv({ coerceTypes: 'array' }, schemas));
    return ({ schema, ...route }) => {
      const ajv = route.httpPart === 'body' ? exact : fromText;
      const compiled = this.#delay(() => compileFor(route, () => ajv().compile(schema)));
      const validate: ReturnType<FastifySchemaCompiler<object>> = (data) => {
        const isValid = compiled()(data);
        validate.errors = compiled().errors ?? null;
        return isValid;
      };
      return validate;
    };
  }

  #buildSerializer(schemas: Schemas, options: object): SerializerCompiler {
    const compiler = this.#delay(() => serializerSelector()(schemas, options));
    return (route) => {
      const compiled = this.#delay(() => compileFor(route, () => compiler()(route)));
      return (data) => compiled()(data);
    };
  }

  #delay<Result extends object>(create: () => Result): () => Result {
    let result: Result | undefined;
    const get = () => {
      if (result) return result;
      this.#pending.delete(get);
      result = create();
      return result;
    };
    this.#pending.add(get);
    return get;
  }
}

interface SchemaPlace {
  method: string;
  url: string;
  httpPart?: string | undefined;
  httpStatus?: string | undefined;
}

/** @throws {Error} that says where the schema stands, when it cannot be compiled */
function compileFor<Compiled>(place: SchemaPlace, compile: () => Compiled): Compiled {
  try {
    return compile();
  } catch (cause) {
    const part = place.httpPart ?? `response ${place.httpStatus}`;
    throw new Error(`The schema of ${place.method} ${place.url}, ${part}, cannot be compiled`, {
      cause,
    });
  }
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
