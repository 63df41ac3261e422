import { isUtf8 } from 'node:buffer';
import createError from '@fastify/error';
import { Ajv, type Options } from 'ajv';
import addFormats from 'ajv-formats';
import fp from 'fastify-plugin';

const NotUtf8 = createError('NOT_UTF8', 'JSON is UTF-8 (RFC 8259, 8.1).', 400);

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
    app.removeContentTypeParser(['application/json', 'text/plain']);
    const parseJson = app.getDefaultJsonParser('error', 'error');
    app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
      // Decoding would put a replacement character where a byte makes no sense, and store that.
      if (isUtf8(body)) parseJson(request, body.toString(), done);
      else done(new NotUtf8());
    });
  },
  { name: 'validation' },
);

function createAjv(options: Options): Ajv {
  const ajv = new Ajv({ useDefaults: true, strict: false, ...options });
  addFormats.default(ajv, ['date-time', 'uuid']);
  // ajv-formats also takes urn:uuid:…, which PostgreSQL does not.
  ajv.addFormat('uuid', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i);
  return ajv;
}
