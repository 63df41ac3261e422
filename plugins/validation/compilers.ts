import { setImmediate } from 'node:timers/promises';
import serializerSelector, { type SerializerCompiler } from '@fastify/fast-json-stringify-compiler';
import type { FastifySchemaCompiler, FastifyServerOptions } from 'fastify';
import { compileBody, compileText, createAjv, type Schemas } from './checks.ts';

type Factory = NonNullable<
  NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']
>;

/** Compiles route schemas on first use. Compiling all of them at boot took a fifth of the start. */
export class LazyCompilers {
  readonly #pending = new Set<() => unknown>();

  /** For Fastify's `schemaController`, whose type describes its own compilers alone. */
  readonly factory = {
    buildValidator: (schemas: Schemas) => this.#buildValidator(schemas),
    buildSerializer: (schemas: Schemas, options: object) => this.#buildSerializer(schemas, options),
  } as unknown as Factory;

  /** Compiles what no request has needed yet, a schema in a turn; rejects at the first error. */
  async compilePending(): Promise<void> {
    for (const compile of this.#pending) {
      compile();
      await setImmediate();
    }
  }

  #buildValidator(schemas: Schemas): FastifySchemaCompiler<object> {
    const exact = this.#delay(() => createAjv({}, schemas));
    const all = this.#delay(() => createAjv({ allErrors: true }, schemas));
    return ({ schema, method, url, httpPart }) => {
      const compile = () =>
        httpPart === 'body' ? compileBody(exact(), all, schema) : compileText(all(), schema);
      const check = this.#delay(compile, `${method} ${url}, ${httpPart}`);
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
      const place = `${route.method} ${route.url}, response ${route.httpStatus}`;
      const serialize = this.#delay(() => compile(route), place);
      return (answer) => serialize()(answer);
    };
  }

  /** Makes something when it is first asked for; an error says of which place. */
  #delay<Result extends object>(create: () => Result, place = 'all routes'): () => Result {
    let result: Result | undefined;
    const get = () => {
      if (result) return result;
      this.#pending.delete(get);
      try {
        result = create();
        return result;
      } catch (cause) {
        throw new Error(`The schema of ${place}, cannot be compiled`, { cause });
      }
    };
    this.#pending.add(get);
    return get;
  }
}
