import type { FastifyReply } from 'fastify';
import type { Static } from 'typebox';
import type { ClientError, ErrorAnswer } from './index.ts';

// An import of values from node:http would load all of fetch.
const { STATUS_CODES, validateHeaderName, validateHeaderValue } =
  process.getBuiltinModule('node:http');

export const JSON_TYPE = 'application/json; charset=utf-8';

/** Headers of the answer that failed, which say nothing true of the error's. */
const OF_THE_CONTENT =
  /^(content-(encoding|disposition|range|language)|etag|last-modified|trailer|transfer-encoding)$/;

type Body = Static<typeof ErrorAnswer>;

/** The answer for an error; of a 5xx only the app's own code is told, never Fastify's. */
export function describeError(statusCode: number, told: Partial<ClientError> = {}): Body {
  const error = STATUS_CODES[statusCode] ?? 'Error';
  const { code = error.toUpperCase().replaceAll(/\W+/g, '_'), message = error, errors } = told;
  if (statusCode < 500) return { statusCode, code, error, message, ...(errors && { errors }) };
  if (code.startsWith('FST_')) return describeError(statusCode);
  return { statusCode, code, error, message: error };
}

/**
 * Sends an error past the route's serializers and schemas, which were made for another answer. A
 * 5xx passes the onSend hooks too, which may be what failed; where one throws later,
 * `describeFailure` gives the error that is sent instead.
 */
export function sendError(
  reply: FastifyReply,
  body: Body,
  describeFailure: (thrown: unknown) => Body,
): void {
  if (reply.raw.headersSent) return void reply.raw.destroy();
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (OF_THE_CONTENT.test(name) || !isValid(name, value)) reply.removeHeader(name);
  // How long the answer could have been kept says nothing of the error.
  if (reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store');
  reply.code(body.statusCode).type(JSON_TYPE).serializer(String);
  const headers = reply.getHeaders();
  if (body.statusCode >= 500) return void sendPastHooks(reply, body, headers);
  const { send } = reply;
  // Fastify sends what an onSend hook throws, in a shape of its own, or ends the process.
  reply.send = (thrown) => {
    if (reply.sent) return send.call(reply, thrown);
    sendPastHooks(reply.code(500), describeFailure(thrown), headers);
    return reply;
  };
  send.call(reply, JSON.stringify(body));
}

function sendPastHooks(reply: FastifyReply, body: Body, headers: object): void {
  const text = JSON.stringify(body);
  const length = { 'content-length': Buffer.byteLength(text), 'cache-control': 'no-store' };
  reply.hijack();
  reply.raw.writeHead(body.statusCode, { ...headers, ...length }).end(text);
}

function isValid(name: string, value: unknown): boolean {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value as string);
    return true;
  } catch {
    return false;
  }
}
