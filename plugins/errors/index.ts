import createError, { FastifyError as MadeError } from '@fastify/error';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';
import { readPath } from '../../src/request-log.ts';
import { type InvalidRequest, Problems } from '../validation/problems.ts';

// Importing node:http in an ES module loads all of Node's fetch, a fifth of a bare Fastify's start.
const { STATUS_CODES } = process.getBuiltinModule('node:http');

/** The shape of every answer that is not a success. */
export const ErrorAnswer = Type.Object(
  {
    statusCode: Type.Integer(),
    code: Type.String({ description: 'The kind of error, for programs' }),
    error: Type.String({ description: "The status code's own words" }),
    message: Type.String({ description: 'What was wrong, for people' }),
    errors: Type.Optional(Problems),
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

/** What a client is told: made by @fastify/error, with the seconds after which to try again. */
export type ClientError = FastifyError & Partial<InvalidRequest> & { retryAfter?: number };

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Tells clients what an error of a backing service means. Each plugin that attaches one
     * recognizes only what that service itself threw, and gives undefined for all other errors.
     */
    answerErrors(translate: (error: Error) => ClientError | undefined): void;
  }
}

/** When a client may come back after a 503, in seconds: by then a restart, a failover or a rush is over. */
const RETRY_AFTER_S = 5;

export const RouteNotFound = createError('NOT_FOUND', '%s %s does not exist.', 404);
const BadHost = createError('BAD_HOST', 'A request names exactly one host.', 400);
const BodyIncomplete = createError('INCOMPLETE_BODY', 'The body ended before its length.', 400);
const BodyTooLate = createError('REQUEST_TIMEOUT', 'The body took too long to arrive.', 408);
const MethodNotAllowed = createError('METHOD_NOT_ALLOWED', '%s is not allowed on %s.', 405);

/** One handler and one shape for every error: a 4xx says what was wrong, a 5xx says nothing and is logged whole. */
export default fp(
  async (app) => {
    const translations: ((error: Error) => ClientError | undefined)[] = [];
    app.decorate('answerErrors', (translate) => void translations.push(translate));
    app.decorateRequest('logFields');
    app.decorateReply('failure');
    app.decorateReply('answered', false);
    app.addHook('onRequest', ({ headers: { host }, raw }, _reply, done) => {
      const isBad = host === undefined ? raw.httpVersion === '1.1' : host.includes(',');
      done(isBad ? new BadHost() : undefined);
    });
    app.setErrorHandler<FastifyError>((given, request, reply) => {
      const error = recognizeBodyError(given, request);
      if (error instanceof BodyTooLate) reply.header('connection', 'close');
      const made = findClientError(error, translations);
      const statusCode = made?.statusCode ?? readStatusCode(error, reply);
      if (statusCode >= 500) reply.failure = error;
      if (statusCode === 503) reply.header('retry-after', made?.retryAfter ?? RETRY_AFTER_S);
      return reply.code(statusCode).send(describeError(statusCode, made));
    });
    app.setNotFoundHandler(rejectRoute);
  },
  { name: 'errors' },
);

/** A body that is late or breaks off is the client's fault, whatever noticed it. */
function recognizeBodyError(error: FastifyError, { raw }: FastifyRequest): FastifyError {
  if (error.code === 'FST_ERR_HANDLER_TIMEOUT' && !raw.complete) return new BodyTooLate();
  return error === raw.errored ? new BodyIncomplete() : error;
}

/** The app's own errors are made for clients; what a service threw is translated. */
function findClientError(
  error: FastifyError,
  translations: ((error: Error) => ClientError | undefined)[],
): ClientError | undefined {
  if (error instanceof MadeError || error.validation) return error;
  for (const translate of translations) {
    const made = translate(error);
    if (made) return made;
  }
  return undefined;
}

/** Every other error is a bug, or a library's: its status code and its message are not for clients. */
function readStatusCode(error: FastifyError, { statusCode }: FastifyReply): number {
  const isChosen = error.statusCode === undefined && statusCode >= 400 && statusCode <= 599;
  return isChosen ? statusCode : 500;
}

/** The answer for an error; of a 5xx only the app's own code is told, never Fastify's. */
export function describeError(
  statusCode: number,
  { code, message, errors }: Partial<ClientError> = {},
): Static<typeof ErrorAnswer> {
  const error = STATUS_CODES[statusCode] ?? 'Error';
  const kind = error.toUpperCase().replaceAll(/\W+/g, '_');
  const isOurs = statusCode >= 500;
  const isHidden = isOurs && code?.startsWith('FST_');
  return {
    statusCode,
    code: (isHidden ? undefined : code) ?? kind,
    error,
    message: (isOurs ? undefined : message) ?? error,
    ...(errors && { errors }),
  };
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
