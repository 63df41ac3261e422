import createError, { FastifyError as MadeError } from '@fastify/error';
import type { FastifyError, FastifyReply, FastifyBaseLogger as Log } from 'fastify';
import type { ClientError, Translate } from './index.ts';

const BodyIncomplete = createError('INCOMPLETE_BODY', 'The body ended too early.', 400);
export const BodyTooLate = createError('REQUEST_TIMEOUT', 'The body took too long to arrive.', 408);

/** What a client gets for an error. Undefined if that is a 500. */
export function findClientError(
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

/** If one throws, the others still translate the error. */
function translateBy(translations: Translate[], error: Error, log: Log): ClientError | undefined {
  for (const translate of translations) {
    try {
      const translated = translate(error);
      if (translated) return translated;
    } catch (err) {
      // A translation may rely on a message that is text, which a thrown object may lack.
      if (typeof error.message === 'string') log.warn({ err }, 'A function of answerErrors failed');
    }
  }
}

/** By the convention of http-errors, `expose` says whether the message is for the client. */
function readExposed(error: ClientError & { expose?: boolean }) {
  const { expose, code, statusCode = 500, message, headers } = error;
  if (statusCode >= 500) return expose === false ? { statusCode, headers } : undefined;
  // @fastify/compress copies what @fastify/error made into an error of zlib.
  if (/^FST_/.test(code)) return { statusCode, code, message };
  return expose === true ? { statusCode, message, headers } : undefined;
}

function isErrorStatus(status: unknown): boolean {
  return Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599;
}
