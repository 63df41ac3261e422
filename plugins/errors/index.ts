import createError, { FastifyError as MadeError } from '@fastify/error';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { Type } from 'typebox';
import { readPath } from '../../src/request-log.ts';
import { type InvalidRequest, Problems } from '../validation/problems.ts';
import { describeError, sendError } from './answer.ts';
import { refuseRequest } from './refuse-request.ts';

export { describeError } from './answer.ts';

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
     * Tells clients what an error of a backing service means: undefined for what the service itself
     * did not throw.
     */
    answerErrors(translate: Translate): void;
  }
}

type Translate = (error: Error) => ClientError | undefined;

/** When a client may come back after a 503, in seconds: by then a restart or a rush is over. */
const RETRY_AFTER_S = 5;

export const RouteNotFound = createError('NOT_FOUND', '%s %s does not exist.', 404);
const BodyIncomplete = createError('INCOMPLETE_BODY', 'The body ended before its length.', 400);
const BodyTooLate = createError('REQUEST_TIMEOUT', 'The body took too long to arrive.', 408);
const MethodNotAllowed = createError('METHOD_NOT_ALLOWED', '%s is not allowed on %s.', 405);

/** One handler and one shape for every error: a 5xx says nothing, and is logged whole. */
export default fp(
  async (app) => {
    const translations: Translate[] = [];
    app.decorate('answerErrors', (translate) => void translations.push(translate));
    app.decorateRequest('logFields');
    app.decorateReply('failure');
    app.addHook('onRequest', (request, reply, done) => {
      const refusal = refuseRequest(request);
      if (refusal) reply.header('connection', 'close');
      done(refusal);
    });
    app.setErrorHandler<unknown>((thrown, _request, reply) => {
      const describe = (failure: unknown) => {
        const made = findClientError(failure, reply, translations);
        const statusCode = made?.statusCode ?? 500;
        if (made instanceof BodyTooLate) reply.header('connection', 'close');
        if (statusCode >= 500) reply.failure = toError(failure);
        if (statusCode === 503) reply.header('retry-after', made?.retryAfter ?? RETRY_AFTER_S);
        return describeError(statusCode, made);
      };
      sendError(reply, describe(thrown), describe);
    });
    app.setNotFoundHandler(rejectRoute);
  },
  { name: 'errors' },
);

/** What a client may be told of whatever was thrown; without it, the answer is a bare 500. */
function findClientError(
  thrown: unknown,
  { request: { raw }, statusCode }: FastifyReply,
  translations: Translate[],
): Partial<ClientError> | undefined {
  try {
    const error = thrown as FastifyError;
    // A body that is late or breaks off is the client's fault, whatever noticed it.
    if (error.code === 'FST_ERR_HANDLER_TIMEOUT' && !raw.complete) return new BodyTooLate();
    if (error === raw.errored) return new BodyIncomplete();
    // Fastify names the part of the request that it refused; a library may have its own
    // `validation`.
    const isMade = error instanceof MadeError || error.validationContext;
    const made = isMade ? error : translations.map((translate) => translate(error)).find(Boolean);
    if (isErrorStatus(made?.statusCode)) return made;
    // The route may have chosen the status, but the error is not for the client.
    return error.statusCode === undefined && isErrorStatus(statusCode) ? { statusCode } : undefined;
  } catch {
    // It is null, or one of its properties throws.
    return undefined;
  }
}

/** What was thrown need not be an error, nor let itself be read. */
function toError(thrown: unknown): Error {
  if (typeof thrown === 'string') return new Error(thrown);
  try {
    for (const name of ['name', 'message', 'stack', 'code', 'cause'])
      Reflect.get(thrown as object, name);
    if (thrown instanceof Error) return thrown;
  } catch {
    // A getter of it throws: here, rather than in the log.
  }
  const kind = thrown === null ? null : typeof thrown;
  return new Error(`No error that can be read was thrown, but ${kind}`);
}

function isErrorStatus(status: unknown): boolean {
  return Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599;
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
