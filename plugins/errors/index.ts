import createError, { FastifyError as MadeError } from '@fastify/error';
import type { FastifyBaseLogger, FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { Type } from 'typebox';
import { toError } from '../../src/error-log.ts';
import { interrupt } from '../../src/failed-answers.ts';
import { hasBegun } from '../../src/node-http.ts';
import { readPath } from '../../src/request-log.ts';
import { type InvalidRequest, Problems } from '../validation/problems.ts';
import { describeError, sendError } from './answer.ts';
import { refuseRequest } from './refuse-request.ts';

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
export type ClientError = FastifyError & Partial<InvalidRequest> & { retryAfter?: number };

declare module 'fastify' {
  interface FastifyInstance {
    /** Translates a service's errors, and others to undefined. The last one is asked first. */
    answerErrors(translate: Translate): void;
  }
}

type Translate = (error: Error) => ClientError | undefined;

/** When a client may try again after a 503, in seconds: long enough for a restart. */
const RETRY_AFTER_S = 5;

const BodyIncomplete = createError('INCOMPLETE_BODY', 'The body ended too early.', 400);
const BodyTooLate = createError('REQUEST_TIMEOUT', 'The body took too long to arrive.', 408);
const MethodNotAllowed = createError('METHOD_NOT_ALLOWED', '%s is not allowed on %s.', 405);

/** One handler and one format for all errors. The cause of a 5xx is only logged. */
export default fp(
  async (app) => {
    const translations: Translate[] = [];
    app.decorate('answerErrors', (translate) => void translations.unshift(translate));
    app.addHook('onRequest', (request, reply, done) => {
      const refusal = refuseRequest(request);
      const { headers, openRequest } = request.raw;
      // Behind an Upgrade that is ignored, Node drops what it has read of the next request.
      const isOutOfStep = headers.upgrade && !openRequest?.isUpgraded;
      if (refusal || isOutOfStep) reply.header('connection', 'close');
      done(refusal);
    });
    app.setErrorHandler<unknown>((thrown, _request, reply) => {
      const describe = (failure: unknown) => {
        const clientError = findClientError(failure, reply, translations);
        const statusCode = clientError?.statusCode ?? 500;
        if (clientError instanceof BodyTooLate) reply.header('connection', 'close');
        if (statusCode >= 500) reply.failure = toError(failure);
        // It may be a mistake of the app, such as a column that no field fills.
        else if (clientError !== failure)
          reply.log.debug({ err: failure }, 'The client gets this error as a 4xx');
        if (statusCode === 503)
          reply.header('retry-after', clientError?.retryAfter ?? RETRY_AFTER_S);
        return describeError(statusCode, clientError);
      };
      if (hasBegun(reply.raw)) interrupt(reply, thrown);
      else sendError(reply, describe(thrown), describe);
    });
    app.setNotFoundHandler(rejectRoute);
  },
  { name: 'errors' },
);

function findClientError(
  thrown: unknown,
  { request: { raw }, statusCode, log }: FastifyReply,
  translations: Translate[],
): Partial<ClientError> | undefined {
  try {
    const error = thrown as FastifyError;
    // A late or incomplete body is the client's fault, even if the handler fails because of it.
    if (error.code === 'FST_ERR_HANDLER_TIMEOUT' && raw.complete === false)
      return new BodyTooLate();
    // Node's error if the client breaks off. A handler's pipeline leaves its own error here.
    if (error === raw.errored && error.message === 'aborted') return new BodyIncomplete();
    // Fastify sets validationContext. `validation` alone may come from another library.
    const isMade = error instanceof MadeError || error.validationContext;
    const clientError = isMade
      ? error
      : (translateBy(translations, error, log) ?? readExposed(error));
    if (isErrorStatus(clientError?.statusCode)) return clientError;
    // The route may have chosen the status, but the error is not for the client.
    return error.statusCode === undefined && isErrorStatus(statusCode) ? { statusCode } : undefined;
  } catch {
    // `thrown` is null, or one of its properties throws.
    return undefined;
  }
}

/** One that throws does not keep the others from translating the error. */
function translateBy(
  translations: Translate[],
  error: Error,
  log: FastifyBaseLogger,
): ClientError | undefined {
  for (const translate of translations) {
    try {
      const translated = translate(error);
      if (translated) return translated;
    } catch (err) {
      log.warn({ err }, 'A function of answerErrors failed');
    }
  }
}

/** By the convention of http-errors, `expose` says that the message is for the client. */
function readExposed(error: FastifyError & { expose?: boolean }) {
  const { expose, code, statusCode = 500, message } = error;
  if (statusCode >= 500) return undefined;
  // @fastify/compress copies what @fastify/error made into an error of zlib.
  if (/^FST_/.test(code)) return { statusCode, code, message };
  return expose === true ? { statusCode, message } : undefined;
}

function isErrorStatus(status: unknown): boolean {
  return Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599;
}

function rejectRoute(request: FastifyRequest, reply: FastifyReply): never {
  const { server, method, url, headers } = request;
  const constraints: Record<string, unknown> = {
    host: headers.host,
    version: headers['accept-version'],
  };
  const allowed = server.supportedMethods.filter(
    (other) => other !== 'OPTIONS' && server.findRoute({ method: other, url, constraints }),
  );
  const path = readPath(url);
  // With its own method allowed, a handler has called reply.callNotFound().
  if (allowed.length === 0 || allowed.includes(method)) throw new RouteNotFound(method, path);
  reply.header('allow', allowed.join(', '));
  throw new MethodNotAllowed(method, path);
}
