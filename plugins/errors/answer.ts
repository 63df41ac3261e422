import { errorCodes, type FastifyReply } from 'fastify';
import type { Static } from 'typebox';
import { http, isHeader } from '../../src/node-http.ts';
import type { ClientError, ErrorAnswer } from './index.ts';

export const JSON_TYPE = 'application/json; charset=utf-8';

/** Headers that describe the content of the failed answer. They would be wrong for the error. */
const CONTENT_HEADERS =
  /^(content-(encoding|disposition|range|language)|etag|last-modified|trailer|transfer-encoding)$/;

const OWN_HEADERS = /^(connection|keep-alive|upgrade|date|x-request-id)$/i;

/** When a client may try again after a 503, in seconds: long enough for a restart. */
const RETRY_AFTER_S = 5;

type Body = Static<typeof ErrorAnswer>;

/** A 500 shows nothing of its cause. Another 5xx shows only a code of the app, never Fastify's. */
export function describeError(statusCode: number, cause: Partial<ClientError> = {}): Body {
  const error = http.STATUS_CODES[statusCode] ?? 'Error';
  const kind = error.toUpperCase().replaceAll(/\W+/g, '_');
  const errors = cause.errors && describeProblems(cause.errors);
  // A translation may take over what is no text, such as the number of a gRPC code.
  const [code, message] = [`${cause.code ?? kind}`, `${cause.message ?? error}`];
  if (statusCode < 500) return { statusCode, code, error, message, ...(errors && { errors }) };
  const isInternal = statusCode === 500 || code.startsWith('FST_');
  return { statusCode, code: isInternal ? kind : code, error, message: error };
}

/** Other libraries have lists under this name too, and their items may be secret. */
function describeProblems(problems: NonNullable<Body['errors']>): Body['errors'] {
  const isProblem = (one: unknown) =>
    ['path', 'in', 'message'].every((name) => typeof Reflect.get(Object(one), name) === 'string');
  if (Array.isArray(problems) && problems.every(isProblem))
    return problems.map(({ path, in: part, message }) => ({ path, in: part, message }));
}

/** Adds the headers of an error, but for those of the connection and the request's id. */
export function passHeaders(reply: FastifyReply, headers: unknown): void {
  if (typeof headers !== 'object') return;
  for (const [name, value] of Object.entries(headers ?? {}))
    if (value !== undefined && !OWN_HEADERS.test(name)) reply.header(name, value);
}

/** Sends an error. A 5xx skips the onSend hooks, because one of them may have failed. */
export function sendError(
  reply: FastifyReply,
  body: Body,
  describeFailure: (thrown: unknown) => Body,
): void {
  if (body.statusCode >= 500) return void sendAtOnce(reply, body);
  const headers = prepareHeaders(reply, body.statusCode);
  const { send } = reply;
  // If an onSend hook throws, Fastify sends that in its own format, or ends the process.
  reply.send = (thrown) => {
    if (reply.sent) return send.call(reply, thrown);
    // Fastify removes the type when a hook fails. Otherwise, the handler sends a second answer.
    const isLate = reply.request.raw.openRequest?.isLate;
    if (reply.hasHeader('content-type') && !isLate) {
      const { method, url } = reply.request;
      const twice = new errorCodes.FST_ERR_REP_ALREADY_SENT(url, method);
      if (thrown instanceof Error) reply.log.error({ err: thrown }, twice.message);
      else reply.log.warn({ err: twice }, twice.message);
      return reply;
    }
    sendWithoutHooks(reply.code(500), describeFailure(thrown), headers);
    return reply;
  };
  send.call(reply, JSON.stringify(body));
}

/** Sends an error without the onSend hooks. */
export function sendAtOnce(reply: FastifyReply, body: Body): void {
  sendWithoutHooks(reply, body, prepareHeaders(reply, body.statusCode));
}

function prepareHeaders(reply: FastifyReply, statusCode: number): object {
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    // In a 416, it has the length of the whole content (RFC 9110, 15.5.17).
    const isLength = name === 'content-range' && statusCode === 416;
    if ((CONTENT_HEADERS.test(name) && !isLength) || !isHeader(name, value))
      reply.removeHeader(name);
  }
  // The header was meant for the failed answer.
  if (reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
  return reply.code(statusCode).type(JSON_TYPE).serializer(String).getHeaders();
}

/** Closes the connection if `answer` throws: Fastify sends nothing while an onError hook runs. */
export function answerOrClose(reply: FastifyReply, answer: () => void, message: string): void {
  try {
    answer();
  } catch (err) {
    reply.log.error({ err }, message);
    reply.raw.destroy();
  }
}

function sendWithoutHooks(reply: FastifyReply, body: Body, headers: object): void {
  const text = JSON.stringify(body);
  const length = { 'content-length': Buffer.byteLength(text), 'cache-control': 'no-store' };
  const pause: object = body.statusCode === 503 ? { 'retry-after': RETRY_AFTER_S } : {};
  reply.hijack();
  // A head that could not be written leaves its reason phrase, such as OK.
  reply.raw.writeHead(body.statusCode, body.error, { ...pause, ...headers, ...length }).end(text);
}
