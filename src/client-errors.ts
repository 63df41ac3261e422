import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { describeError } from '../plugins/errors.ts';

/** What Node's parser found, as a status code; everything else that is no HTTP is a 400. */
const STATUS: Record<string, number> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  HPE_HEADER_OVERFLOW: 431,
};

const MESSAGES: Record<number, string> = {
  400: 'The request is not valid HTTP.',
  408: 'The request took too long to arrive.',
  413: 'The chunk extensions are too long.',
  431: 'The headers are too long.',
};

/**
 * Answers what never becomes a request, in the shape of all errors, and ends the connection: nobody knows where on it
 * the next request would begin. Where an answer is on its way already, a second one would belong to nothing.
 */
export function answerClientError(
  error: NodeJS.ErrnoException,
  socket: Socket & { _httpMessage?: ServerResponse },
): void {
  const answered = socket._httpMessage?.headersSent ?? false;
  if (error.code !== 'ECONNRESET' && socket.writable && !answered) {
    const statusCode = STATUS[error.code ?? ''] ?? 400;
    const body = JSON.stringify(describeError(statusCode, { message: MESSAGES[statusCode] ?? '' }));
    socket.write(
      `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}\r\nContent-Type: application/json; charset=utf-8\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroySoon();
}

/** Answers a path that the router cannot read: before there is a route, there are no hooks and no error handler. */
export function answerBadPath(
  { code, statusCode = 400 }: FastifyError,
  _request: FastifyRequest,
  reply: FastifyReply,
): void {
  const message = statusCode === 414 ? 'A part of the path is too long.' : 'The path is not valid percent-encoding.';
  reply.code(statusCode).send(describeError(statusCode, { code, message }));
}
