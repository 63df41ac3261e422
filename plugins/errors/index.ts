import { STATUS_CODES } from 'node:http';
import createError from '@fastify/error';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';
import { readPath } from '../../src/request-log.ts';

/** The shape of every answer that is not a success. */
export const ErrorAnswer = Type.Object(
  {
    statusCode: Type.Integer(),
    code: Type.String({ description: 'The kind of error, for programs' }),
    error: Type.String({ description: "The status code's own words" }),
    message: Type.String({ description: 'What was wrong, for people' }),
  },
  {
    description: 'An error',
    examples: [
      {
        statusCode: 404,
        code: 'NOT_FOUND',
        error: 'Not Found',
        message: 'GET /nowhere does not exist.',
      },
    ],
  },
);

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Answers 503 instead of 500 for the errors that mean "a backing service is away, try again": each plugin that
     * attaches one says which of its errors these are.
     */
    answerUnavailable(isUnavailable: (error: Error) => boolean): void;
  }
}

/** When a client may come back after a 503, in seconds: by then a restart, a failover or a rush is over. */
const RETRY_AFTER_S = 5;

const RouteNotFound = createError('NOT_FOUND', '%s %s does not exist.', 404);
const BadHost = createError('BAD_HOST', 'A request names exactly one host.', 400);
const BodyTooLate = createError('REQUEST_TIMEOUT', 'The body took too long to arrive.', 408);
const MethodNotAllowed = createError('METHOD_NOT_ALLOWED', '%s is not allowed on %s.', 405);

/** One handler and one shape for every error: a 4xx says what was wrong, a 5xx says nothing and is logged whole. */
export default fp(
  async (app) => {
    const unavailable: ((error: Error) => boolean)[] = [];
    app.decorate('answerUnavailable', (isUnavailable) => void unavailable.push(isUnavailable));
    app.decorateReply('failure');
    app.decorateReply('answered', false);
    app.addHook('onRequest', ({ headers: { host }, raw }, _reply, done) => {
      const isBad = host === undefined ? raw.httpVersion === '1.1' : host.includes(',');
      done(isBad ? new BadHost() : undefined);
    });
    app.setErrorHandler<FastifyError>((given, request, reply) => {
      const isSlow = given.code === 'FST_ERR_HANDLER_TIMEOUT' && !request.raw.complete;
      const error = isSlow ? new BodyTooLate() : given;
      if (isSlow) reply.header('connection', 'close');
      // Only an error without a status code can be a backing service's: the others are the app's own words.
      const isAway = !error.statusCode && unavailable.some((isUnavailable) => isUnavailable(error));
      const statusCode = isAway ? 503 : readStatusCode(error, reply);
      if (statusCode >= 500) reply.failure = error;
      if (statusCode === 503) reply.header('retry-after', RETRY_AFTER_S);
      return reply.code(statusCode).send(describeError(statusCode, error));
    });
    app.setNotFoundHandler(rejectRoute);
  },
  { name: 'errors' },
);

/** An error without a status code is a bug of ours; what was thrown need not be an error at all. */
function readStatusCode(error: FastifyError, reply: FastifyReply): number {
  const statusCode = error.statusCode ?? reply.statusCode;
  return statusCode >= 400 && statusCode <= 599 ? statusCode : 500;
}

/** The answer for an error: all of it for a client's error, nothing but its kind for one of ours. */
export function describeError(
  statusCode: number,
  { code, message }: { code?: string; message: string },
): Static<typeof ErrorAnswer> {
  const error = STATUS_CODES[statusCode] ?? 'Error';
  const kind = error.toUpperCase().replaceAll(/\W+/g, '_');
  if (statusCode >= 500) return { statusCode, code: kind, error, message: error };
  return { statusCode, code: code ?? kind, error, message };
}

function rejectRoute({ server, method, url }: FastifyRequest, reply: FastifyReply): never {
  const path = readPath(url);
  const allowed = server.supportedMethods.filter(
    (other) => other !== 'OPTIONS' && server.findRoute({ method: other, url: path }),
  );
  if (allowed.length === 0) throw new RouteNotFound(method, path);
  reply.header('allow', allowed.join(', '));
  throw new MethodNotAllowed(method, path);
}
