import { setImmediate } from 'node:timers/promises';
import serializerSelector, { type SerializerCompiler } from '@fastify/fast-json-stringify-compiler';
import type { FastifySchemaCompiler, FastifyServerOptions } from 'fastify';
import { type Check, compileBody, compileText, createAjv, type Schemas } from './checks.ts';

type Factory = NonNullable<
  NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']
>;

/** Compiles route schemas on first use. Compiling all of them at boot took a fifth of the start. */
export class LazyCompilers {
  readonly #pending = new Set<() => unknown>();

  /** For Fastify's `schemaController`, whose type describes its own compilers alone. */
  get factory(): Factory {
    const factory: unknown = {
      buildValidator: (schemas: Schemas) => this.#buildValidator(schemas),
      buildSerializer: (schemas: Schemas, options: object) =>
        this.#buildSerializer(schemas, options),
    };
    return factory as Factory;
  }

  /**
   * Compiles what no request has needed yet, a schema in a turn; rejects at the first that cannot
   * be compiled.
   */
  async compilePending(): Promise<void> {
    for (const compile of this.#pending) {
      compile();
      await setImmediate();
    }
  }

  #buildValidator(schemas: Schemas): FastifySchemaCompiler<object> {
    const exact = this.#delay(() => createAjv({}, schemas));
    const all = this.#delay(() => createAjv({ allErrors: true }, schemas));
    return ({ schema, ...place }) => {
      const compile = (): Check =>
        place.httpPart === 'body' ? compileBody(exact(), all, schema) : compileText(all(), schema);
      const check = this.#delay(() => compileAt(place, compile));
      const validate: ReturnType<FastifySchemaCompiler<object>> = (value) => {
        validate.errors = check()(value);
        return validate.errors === null;
      };
      return validate;
    };
  }

  #buildSerializer(schemas: Schemas, options: object): SerializerCompiler {
    const compile = serializerSelector()(schemas, options);
    return (route) => {
      const serialize = this.#delay(() => compileAt(route, () => compile(route)));
      return (answer) => serialize()(answer);
    };
  }

  /** Makes something when it is first asked for. */
  #delay<Result extends object>(create: () => Result): () => Result {
    let result: Result | undefined;
    const get = () => {
      this.#pending.delete(get);
      result ??= create();
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
function compileAt<Compiled>(place: SchemaPlace, compile: () => Compiled): Compiled {
  try {
    return compile();
  } catch (cause) {
    const part = place.httpPart ?? `response ${place.httpStatus}`;
    throw new Error(`The schema of ${place.method} ${place.url}, ${part}, cannot be compiled`, {
      cause,
    });
  }
}
