import { Ajv, type Options, type ValidateFunction } from 'ajv';
import next from 'ajv/dist/vocabularies/next.js';
import unevaluated from 'ajv/dist/vocabularies/unevaluated/index.js';
import addFormats from 'ajv-formats';

/** Formats of ajv-formats that take long for a long text. A schema with one is refused. */
const SLOW_FORMATS = ['regex', 'url', 'iso-date-time'];

/** It takes long for a long text too. */
const dateTime = addFormats.default.get('date-time') as { validate(text: string): boolean };

/** Keywords of OpenAPI that check nothing. */
const ANNOTATIONS = 'allowReserved discriminator example explode externalDocs style xml'.split(' ');

/** OpenAPI's own extensions. */
const EXTENSION = /"(x-[\w$:-]+)":/g;

export type Schemas = Record<string, object>;

/**
 * Creates the validator of bodies. Process types other than `web` can use it too. A keyword that it
 * does not know is an error: without its check, wrong data would be accepted.
 */
export function createAjv(options: Options = {}, schemas: Schemas = {}): Ajv {
  // Draft 2019-09: with Ajv's own class for it, checking schemas takes 6 MiB more.
  const draft = { next: true, unevaluated: true };
  const strict = { strictTypes: false, strictTuples: false, allowMatchingProperties: true };
  // Optimizing takes a third of the time to compile, and the result is not faster.
  const code = { optimize: false };
  const ajv = new Ajv({ useDefaults: true, code, ...draft, ...strict, ...options });
  ajv.addVocabulary([...next.default, ...unevaluated.default, ...ANNOTATIONS]);
  addFormats.default(ajv);
  ajv.addFormat('date-time', (text) => text.length < 100 && dateTime.validate(text));
  // ajv-formats also accepts urn:uuid:…, but PostgreSQL does not.
  ajv.addFormat('uuid', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i);
  for (const name of SLOW_FORMATS) delete ajv.formats[name];
  for (const [id, schema] of Object.entries(schemas))
    explainFailure(`${id} of app.addSchema`, () => {
      allowExtensions(ajv, schema);
      ajv.addSchema(schema);
    });
  return ajv;
}

/** Compiles a schema, which may have OpenAPI's extensions. */
export function compile<Value>(ajv: Ajv, schema: object): ValidateFunction<Value> {
  allowExtensions(ajv, schema);
  return ajv.compile<Value>(schema);
}

function allowExtensions(ajv: Ajv, schema: object): void {
  for (const [, name = ''] of JSON.stringify(schema).matchAll(EXTENSION))
    if (!ajv.getKeyword(name)) ajv.addKeyword(name);
}

/** @throws an error that says which schema is wrong, why, and what to do */
export function explainFailure<Result>(
  which: string,
  compile: () => Result,
  remedy = 'add what it refers to by app.addSchema',
): Result {
  try {
    return compile();
  } catch (cause) {
    const reason = `The schema ${which} cannot be compiled: ${(cause as Error).message}`;
    throw new Error(`${reason}. Correct it, or ${remedy}.`, { cause });
  }
}
