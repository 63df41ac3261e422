import { isUtf8 } from 'node:buffer';
import createError from '@fastify/error';
import fp from 'fastify-plugin';

const NotUtf8 = createError('NOT_UTF8', 'JSON is UTF-8 (RFC 8259, 8.1).', 400);

/** JSON in UTF-8 is the one format of the API; src/compilers.ts has what checks it against the routes' schemas. */
export default fp(
  async (app) => {
    // Without its parser, text/plain is answered 415 as any other type.
    app.removeContentTypeParser(['application/json', 'text/plain']);
    const parseJson = app.getDefaultJsonParser('error', 'error');
    app.addContentTypeParser<Buffer>(
      'application/json',
      { parseAs: 'buffer' },
      (request, body, done) => {
        // Decoding would put a replacement character where a byte makes no sense, and store that.
        if (isUtf8(body)) parseJson(request, body.toString(), done);
        else done(new NotUtf8());
      },
    );
  },
  { name: 'validation' },
);
