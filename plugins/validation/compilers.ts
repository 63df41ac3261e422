import { setImmediate } from 'node:timers/promises';
import serializerSelector, { type SerializerCompiler } from '@fastify/fast-json-stringify-compiler';
import type { Options } from 'ajv';
import type { FastifySchemaCompiler } from 'fastify';
import { createAjv, explainFailure, type Schemas } from './ajv.ts';
import { compileBody } from './body.ts';
import { compileText, lowerCaseNames } from './text.ts';

/** Fastify's `schemaController`. It compiles on first use: at boot it took a fifth of the start. */
export class LazyCompilers {
  readonly #pending = new Set<() => unknown>();
  readonly #validators = new Map<string, FastifySchemaCompiler<object>>();

  /** Its type fits only Fastify's own compilers. */
  readonly compilersFactory = {
    buildValidator: (schemas: Schemas) => this.#buildValidator(schemas),
    buildSerializer: (schemas: Schemas, options: object) => this.#buildSerializer(schemas, options),
  } as never;

  /** Compiles the schemas that no request has needed yet. Rejects at the first error. */
  async compilePending(): Promise<void> {
    for (const compile of this.#pending) {
      compile();
      // Requests are served between two schemas.
      await setImmediate();
    }
  }

  /** Fastify builds one for each folder of routes/. With the same shared schemas, they are one. */
  #buildValidator(schemas: Schemas): FastifySchemaCompiler<object> {
    const key = JSON.stringify(schemas);
    const validator = this.#validators.get(key) ?? this.#createValidator(schemas);
    this.#validators.set(key, validator);
    return validator;
  }

  #createValidator(schemas: Schemas): FastifySchemaCompiler<object> {
    const create = (options: Options) => this.#delay(() => createAjv(options, schemas));
    const getFast = create({});
    // Only the first one checks schemas: compiling its check takes 5 MiB.
    const validateSchema = false;
    // A field that a PATCH leaves out stays as it is.
    const getPatch = create({ useDefaults: false, validateSchema });
    const getThorough = create({ allErrors: true, validateSchema });
    return ({ schema, method, url, httpPart }) => {
      const check = this.#delay(() => {
        const getAjv = [method].flat().includes('PATCH') ? getPatch : getFast;
        return explainFailure(`of ${method} ${url}, ${httpPart},`, () => {
          getFast().validateSchema(schema, true);
          if (httpPart === 'body') return compileBody(getAjv(), getThorough, schema);
          const named = httpPart === 'headers' ? lowerCaseNames(schema) : schema;
          return compileText(getThorough(), named);
        });
      });
      const validate: ReturnType<FastifySchemaCompiler<object>> = (value) => {
        validate.errors = check()(value);
        return validate.errors === null;
      };
      return validate;
    };
  }

  #buildSerializer(schemas: Schemas, options: object): SerializerCompiler {
    // 19.99 * 100 is 1998.9999999999998: an integer is rounded, not cut.
    const compile = serializerSelector()(schemas, { ...options, rounding: 'round' });
    return (route) => {
      const place = `of ${route.method} ${route.url}, response ${route.httpStatus},`;
      const serialize = this.#delay(() => explainFailure(place, () => compile(route)));
      return (answer) => serialize()(answer);
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
