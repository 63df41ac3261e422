import type { OutgoingHttpHeaders } from 'node:http';
import createError from '@fastify/error';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { Type } from 'typebox';
import { toError } from '../../src/error-log.ts';
import { interrupt } from '../../src/failed-answers.ts';
import { hasBegun } from '../../src/node-http.ts';
import { readPath } from '../../src/request-log.ts';
import { type InvalidRequest, Problems } from '../validation/problems.ts';
import { describeError, passHeaders, sendError } from './answer.ts';
import { BodyTooLate, findClientError } from './translate.ts';

export const RouteNotFound = createError('NOT_FOUND', '%s %s does not exist.', 404);

// With its real type, ErrorAnswer would refer to itself.
const EXAMPLE: object = describeError(404, new RouteNotFound('GET', '/nowhere'));

/** The shape of every answer that is not a success. */
export const ErrorAnswer = Type.Object(
  {
    statusCode: Type.Integer(),
    code: Type.String({ description: 'The kind of error, for programs' }),
    error: Type.String({ description: "The status code's reason phrase" }),
    message: Type.String({ description: 'What went wrong, for people' }),
    errors: Type.Optional(Problems),
  },
  { description: 'An error', examples: [EXAMPLE] },
);

/** An error for the client, made by @fastify/error. `retryAfter` is in seconds. */
export type ClientError = FastifyError &
  Partial<InvalidRequest> & { retryAfter?: number; headers?: OutgoingHttpHeaders | undefined };

declare module 'fastify' {
  interface FastifyInstance {
    /** `translate` gives undefined for other errors. The last one that was added is asked first. */
    answerErrors(translate: Translate): void;
  }
}

export type Translate = (error: Error) => ClientError | undefined;

const MethodNotAllowed = createError('METHOD_NOT_ALLOWED', '%s is not allowed on %s.', 405);

/** One handler and one format for all errors. The cause of a 5xx is only logged. */
export default fp(
  async (app) => {
    const translations: Translate[] = [];
    app.decorate('answerErrors', (translate) => void translations.unshift(translate));
    app.setErrorHandler<unknown>((thrown, _request, reply) => {
      const describe = (failure: unknown) => {
        const clientError = findClientError(failure, reply, translations);
        const statusCode = clientError?.statusCode ?? 500;
        if (clientError instanceof BodyTooLate) reply.header('connection', 'close');
        reply.failure = undefined;
        if (statusCode >= 500) noteFailure(reply, toError(failure));
        // It may be a mistake of the app, such as a column that no field fills.
        else if (clientError !== failure)
          reply.log.debug({ err: failure }, 'The client gets this error as a 4xx');
        if (statusCode !== 500) passHeaders(reply, clientError?.headers);
        if (clientError?.retryAfter) reply.header('retry-after', clientError.retryAfter);
        return describeError(statusCode, clientError);
      };
      if (hasBegun(reply.raw)) interrupt(reply, thrown);
      else sendError(reply, describe(thrown), describe);
    });
    app.setNotFoundHandler(rejectRoute);
  },
  { name: 'errors' },
);

/** Keeps the error for the request's own line, or logs it now if that line has been written. */
function noteFailure(reply: FastifyReply, err: Error): void {
  reply.failure = err;
  if (!reply.raw.destroyed) return;
  // An AbortError says only that the client has gone.
  const isAborted = [err, toError(err.cause)].some(({ name }) => name === 'AbortError');
  if (!isAborted) reply.log.error({ err }, 'A request failed after its client had gone');
}

function rejectRoute(request: FastifyRequest, reply: FastifyReply): never {
  const { server, method, url, headers } = request;
  const { host, 'accept-version': version } = headers;
  const constraints: Record<string, unknown> = { host, version };
  const allowed = server.supportedMethods.filter(
    (other) => other !== 'OPTIONS' && server.findRoute({ method: other, url, constraints }),
  );
  const path = readPath(url);
  // With its own method allowed, a handler has called reply.callNotFound().
  if (allowed.length === 0 || allowed.includes(method)) throw new RouteNotFound(method, path);
  reply.header('allow', allowed.join(', '));
  throw new MethodNotAllowed(method, path);
}
