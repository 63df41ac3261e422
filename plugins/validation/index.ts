import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import { MIMEType } from 'node:util';
import createError from '@fastify/error';
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { isTooDeep, MAX_DEPTH } from '../../src/json-limits.ts';
import { refuseWrongAnswers } from './answers.ts';
import { refuseUnlistedTypes } from './content.ts';
import { InvalidRequest } from './problems.ts';
import { mayHaveBody, readBody } from './read-body.ts';

/** RFC 9110, 8.3.1, with any parameters. */
const MEDIA_TYPE = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+[ \t]*(;|$)/;

const NotUtf8 = createError('NOT_UTF8', 'JSON must be UTF-8 (RFC 8259, 8.1).', 400);
const TooDeep = createError('TOO_DEEP', `JSON may have ${MAX_DEPTH} levels at most.`, 400);
const UnsupportedType = createError(
  'FST_ERR_CTP_INVALID_MEDIA_TYPE',
  'This type or coding of a body is not accepted. JSON must be in UTF-8.',
  415,
);

/** Accepts only JSON in UTF-8. A type without a body is ignored: many clients always send it. */
export default fp(
  async (app) => {
    refuseWrongAnswers(app);
    refuseUnlistedTypes(app);
    app.setSchemaErrorFormatter((problems, part) => new InvalidRequest(problems, part));
    app.removeContentTypeParser(['application/json', 'text/plain']);
    const parseJson = app.getDefaultJsonParser('error', 'error');
    app.addHook('onRequest', (request, _reply, done) => {
      const { headers } = request.raw;
      const type = headers['content-type'];
      if (type !== undefined && !(MEDIA_TYPE.test(type) && mayHaveBody(headers)))
        // Deleted, because a proxy would send the text "undefined".
        delete headers['content-type'];
      done();
    });
    app.addContentTypeParser('application/json', (request, payload, done) => {
      // A preParsing hook that decompresses gives another stream.
      const isPlain = isIdentity(request.headers) || payload !== request.raw;
      const isReadable = isPlain && isUtf8Type(request.headers);
      readBody(request, payload, request.routeOptions.bodyLimit, done, (body) => {
        if (body.length === 0) done(null);
        else if (!isReadable) done(new UnsupportedType());
        // Otherwise invalid bytes would be decoded, and stored, as replacement characters.
        else if (!isUtf8(body)) done(new NotUtf8());
        else if (isTooDeep(body)) done(new TooDeep());
        else parseJson(request, body.toString(), done);
      });
    });
    app.addContentTypeParser('*', refuseType);
  },
  { name: 'validation' },
);

function isIdentity({ 'content-encoding': coding = 'identity' }: IncomingHttpHeaders): boolean {
  return coding.toLowerCase() === 'identity';
}

function isUtf8Type({ 'content-type': type = 'application/json' }: IncomingHttpHeaders): boolean {
  return /^utf-?8$/i.test(new MIMEType(type).params.get('charset') ?? 'utf-8');
}

/** Reads at most the first byte, to know whether there is a body of an unknown type. */
function refuseType(
  request: FastifyRequest,
  payload: NodeJS.ReadableStream,
  done: (error: Error | null) => void,
): void {
  const refuse = () => done(new UnsupportedType());
  if (request.is404) done(null);
  else if (Number(request.headers['content-length']) > 0) refuse();
  else payload.once('readable', () => (payload.read(1) === null ? done(null) : refuse()));
}
