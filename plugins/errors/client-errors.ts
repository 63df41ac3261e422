import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { describeError } from './index.ts';

/** What Node's parser found, as a status code; everything else that is no HTTP is a 400. */
const STATUS = new Map<string | undefined, keyof typeof MESSAGES>([
  ['ERR_HTTP_REQUEST_TIMEOUT', 408],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 413],
  ['HPE_HEADER_OVERFLOW', 431],
]);

const MESSAGES = {
  400: 'The request is not valid HTTP.',
  408: 'The request took too long to arrive.',
  413: 'The chunk extensions are too long.',
  431: 'The headers are too long.',
};

/** What Node knows of a connection: the answer that is being sent on it, and the request that is being read. */
interface Connection extends Socket {
  _httpMessage?: ServerResponse | null;
  parser?: { incoming: IncomingMessage | null } | null;
}

/**
 * Answers what never becomes a request, in the shape of all errors, and ends the connection: nobody knows where on it
 * the next request would begin. What was asked before is answered first, and nothing is answered twice.
 */
export function answerClientError(error: NodeJS.ErrnoException, socket: Connection): void {
  const { _httpMessage: response, parser } = socket;
  const request = parser?.incoming;
  if (response && (request?.complete || request !== response.req)) {
    response.once('close', () => socket.destroySoon());
    return;
  }
  const isAnswered = response ? response.headersSent : request?.complete === false;
  const statusCode = STATUS.get(error.code) ?? 400;
  if (error.code !== 'ECONNRESET' && socket.writable && !isAnswered)
    socket.write(describeAnswer(statusCode));
  socket.destroySoon();
}

function describeAnswer(statusCode: keyof typeof MESSAGES): string {
  const answer = describeError(statusCode, { message: MESSAGES[statusCode] });
  const body = JSON.stringify(answer);
  return (
    `HTTP/1.1 ${statusCode} ${answer.error}\r\nContent-Type: application/json; charset=utf-8\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  );
}

/** Answers a request that expects something beside `100-continue`: nothing else is known (RFC 9110, 10.1.1). */
export function answerExpectation(_request: IncomingMessage, response: ServerResponse): void {
  const body = JSON.stringify(
    describeError(417, { message: 'Nothing but 100-continue can be expected.' }),
  );
  response
    .writeHead(417, { 'content-type': 'application/json; charset=utf-8', connection: 'close' })
    .end(body);
}

/** Answers a path that the router cannot read: before there is a route, there are no hooks and no error handler. */
export function answerBadPath(
  { code, statusCode = 400 }: FastifyError,
  _request: FastifyRequest,
  reply: FastifyReply,
): void {
  const message =
    statusCode === 414
      ? 'A part of the path is too long.'
      : 'The path is not valid percent-encoding.';
  reply.code(statusCode).send(describeError(statusCode, { code, message }));
}
