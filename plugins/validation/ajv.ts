import { isDeepStrictEqual } from 'node:util';
import { Ajv, type Options, type ValidateFunction } from 'ajv';
import next from 'ajv/dist/vocabularies/next.js';
import unevaluated from 'ajv/dist/vocabularies/unevaluated/index.js';
import addFormats from 'ajv-formats';
import { boundKeywords } from './bounds.ts';
import { allowDecimals } from './decimals.ts';

/** Formats of ajv-formats that take long for a long text. A schema with one is refused. */
const SLOW_FORMATS = ['regex', 'url', 'iso-date-time'];

const DRAFT = 'https://json-schema.org/draft/2019-09/schema';

const dateTime = addFormats.default.get('date-time') as { validate(text: string): boolean };

const ANNOTATIONS =
  'x-.*|\\$anchor|allowEmptyValue|allowReserved|collectionFormat|discriminator|errorMessage|' +
  'example|explode|externalDocs|style|xml';

/** Ajv's warning of an unchecked keyword: wrong data would pass. Other warnings are harmless. */
const UNCHECKED = new RegExp(`^strict mode: unknown keyword: "(?!(?:${ANNOTATIONS})")`);

export type Schemas = Record<string, object>;

/** Creates the validator of bodies. Process types other than `web` can use it too. */
export function createAjv(options: Options = {}, schemas: Schemas = {}): Ajv {
  const ajv = new Ajv({
    useDefaults: true,
    // Draft 2019-09: with Ajv's own class for it, checking schemas takes 6 MiB more.
    next: true,
    unevaluated: true,
    strictSchema: 'log',
    strictTypes: false,
    strictTuples: false,
    logger: { ...console, warn: refuseUnchecked },
    // Optimizing takes a third of the time to compile, and the result is not faster.
    code: { optimize: false },
    ...options,
  });
  ajv.addVocabulary([...next.default, ...unevaluated.default]);
  boundKeywords(ajv);
  allowDecimals(ajv);
  addFormats.default(ajv);
  ajv.addFormat('date-time', isDateTime);
  // ajv-formats also accepts urn:uuid:…, but PostgreSQL does not.
  ajv.addFormat('uuid', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i);
  // ajv-formats checks only one line of several.
  ajv.addFormat('byte', /^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?$/);
  // The name of the draft in a `$schema`. Ajv checks schemas of that draft as those of draft 7.
  ajv.addMetaSchema({ $id: DRAFT, $ref: 'http://json-schema.org/draft-07/schema' });
  for (const name of SLOW_FORMATS) delete ajv.formats[name];
  for (const [id, schema] of Object.entries(schemas))
    explainFailure(`${id} of app.addSchema`, () => {
      refuseUncheckable(schema);
      ajv.addSchema(schema);
    });
  return ajv;
}

/** Compiles a schema, but only once if it has an `$id`: several routes may use that schema. */
export function compileSchema(ajv: Ajv, schema: { $id?: string }): ValidateFunction {
  const known = schema.$id && ajv.getSchema(schema.$id);
  if (known && isDeepStrictEqual(known.schema, schema)) return known as ValidateFunction;
  refuseUncheckable(schema);
  return ajv.compile(schema);
}

/** Refuses keywords whose check would find nothing: `$async`, and `~refine` of TypeBox. */
export function refuseUncheckable(schema: unknown): void {
  if (typeof schema !== 'object' || schema === null) return;
  const name = Reflect.get(schema, '$async') === true ? '$async' : '~refine';
  if (name === '$async' || Array.isArray(Reflect.get(schema, name)))
    throw new Error(`${name} is not supported: check that in the handler`);
  Object.values(schema).forEach(refuseUncheckable);
}

/** RFC 3339 has leap seconds, which neither Date nor PostgreSQL's driver has. */
function isDateTime(text: string): boolean {
  return text.length < 100 && dateTime.validate(text) && !Number.isNaN(Date.parse(text));
}

function refuseUnchecked(warning: string): void {
  if (UNCHECKED.test(warning)) throw new Error(warning);
}

/** Throws an error that says which schema is wrong, why, and what to do. */
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
