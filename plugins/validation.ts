import { Ajv, type Options } from 'ajv';
import addFormats from 'ajv-formats';
import fp from 'fastify-plugin';

/**
 * Takes a body as it came: Fastify's default turns 123 into "123", null into "" and drops unknown fields, so that a
 * client's mistake looks like success. Paths and queries carry only text, there numbers are read from it.
 */
export default fp(
  async (app) => {
    const exact = createAjv({});
    const fromText = createAjv({ coerceTypes: 'array' });
    app.setValidatorCompiler(({ schema, httpPart }) => (httpPart === 'body' ? exact : fromText).compile(schema));
    // JSON is the one format of the API: without its parser, text/plain is answered 415 as any other type.
    app.removeContentTypeParser('text/plain');
  },
  { name: 'validation' },
);

function createAjv(options: Options): Ajv {
  const ajv = new Ajv({ useDefaults: true, strict: false, ...options });
  addFormats.default(ajv, ['date-time', 'uuid']);
  return ajv;
}
