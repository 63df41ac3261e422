import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import createError from '@fastify/error';
import type { FastifyError, FastifyInstance, FastifyReply } from 'fastify';
import { readAddress } from '../../src/client-address.ts';
import type { AnswerHeaders, Caller } from '../../src/every-answer.ts';
import { hasBegun } from '../../src/node-http.ts';
import type { OpenRequest } from '../../src/open-request.ts';
import { answerOrClose, describeError, JSON_TYPE } from './answer.ts';

const BadRequest = createError('BAD_REQUEST', 'The request is not valid HTTP.', 400);
const TooLate = createError('REQUEST_TIMEOUT', 'The request took too long to arrive.', 408);
const LongChunks = createError('PAYLOAD_TOO_LARGE', 'The chunk extensions are too long.', 413);
const LongHeaders = createError(
  'REQUEST_HEADER_FIELDS_TOO_LARGE',
  'Headers are too long or too many.',
  431,
);

const REFUSALS: Record<string, new () => FastifyError> = {
  ERR_HTTP_REQUEST_TIMEOUT: TooLate,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: LongChunks,
  HPE_HEADER_OVERFLOW: LongHeaders,
};

/** Node's fields of a connection: the answer that is being sent, the request that is being read. */
interface Connection extends Socket {
  _httpMessage?: ServerResponse | null;
  parser?: { incoming: IncomingMessage | null } | null;
}

/** Connections that close after their open answer. Node reports each later packet too. */
const closing = new WeakSet<Socket>();

/** Answers invalid HTTP, and closes the connection: where the next request starts is unknown. */
export function answerClientError(
  this: FastifyInstance,
  { code = '' }: { code?: string },
  socket: Connection,
): void {
  const { _httpMessage: response, parser } = socket;
  const request = parser?.incoming;
  const refusal = new (REFUSALS[code] ?? BadRequest)();
  const hasGone = code === 'ECONNRESET';
  if (response) {
    const isOwnBody = request === response.req && !request.complete;
    const entry = isOwnBody && !hasBegun(response) ? request.openRequest : undefined;
    // The client ended its side within a request, and no handler would notice that.
    if (code === 'HPE_INVALID_EOF_STATE' && !isAnswered(entry)) return void socket.destroy();
    if (closing.has(socket)) return;
    closing.add(socket);
    response.once('close', () => socket.destroySoon());
    if (entry?.reply && !hasGone) refuseBody(this, entry, entry.reply, refusal);
    // Of a request that waits for its turn, the rest is read: otherwise, a FIN is not seen.
    if (request?.complete === false && !isOwnBody) request.resume();
    return;
  }
  // A request without a response, whose body is still being read, has already been answered.
  const wasAnswered = request?.complete === false;
  if (socket.writable && !hasGone && !wasAnswered) refuse(this, refusal, socket, code);
  socket.destroySoon();
}

/** Whether the client is getting an answer, or will get the error of the body's reader. */
function isAnswered(entry: OpenRequest | undefined): boolean {
  if (entry?.reply?.sent !== false) return false;
  return entry.isAnswering || entry.request.listenerCount('error') > 0;
}

/** The body's reader gets the error. Without one, the app answers, unless it already does. */
function refuseBody(
  app: FastifyInstance,
  { request, isAnswering }: OpenRequest,
  reply: FastifyReply,
  refusal: FastifyError,
): void {
  reply.header('connection', 'close');
  if (isAnswering) return;
  const answer = () => {
    if (request.listenerCount('error') > 0) request.emit('error', refusal);
    else if (request.method !== 'GET' && request.method !== 'HEAD')
      app.errorHandler(refusal, reply.request, reply);
  };
  answerOrClose(reply, answer, 'A malformed body has no answer: its connection is closed');
}

function refuse(app: FastifyInstance, refusal: FastifyError, socket: Socket, code: string): void {
  const id = randomUUID();
  const clientAddress = readAddress({ ip: '', socket });
  const known = { id, clientAddress, protocol: 'http', headers: {}, routeOptions: { config: {} } };
  const caller = known as unknown as Caller;
  const fields: string[] = [];
  const header = (name: string, value: unknown) => fields.push(`${name}: ${value}`);
  const reply = { header } as unknown as AnswerHeaders;
  // An exceeded rate limit changes nothing: the request is refused anyway.
  new Promise((resolve) => resolve(app.prepareAnswer(caller, reply))).catch(() => undefined);
  const answer = describeError(refusal.statusCode as number, refusal);
  const body = JSON.stringify(answer);
  header('content-type', JSON_TYPE);
  header('content-length', Buffer.byteLength(body));
  header('connection', 'close');
  const head = [`HTTP/1.1 ${answer.statusCode} ${answer.error}`, ...fields].join('\r\n');
  socket.write(`${head}\r\n\r\n${body}`);
  const line = { method: null, path: null, status: answer.statusCode, durationMs: 0 };
  // Node's reason: a router may speak TLS, HTTP/2 or the PROXY protocol to this port.
  const reason = code && { code };
  app.log.info({ requestId: id, ...line, ...reason, address: clientAddress }, 'request');
}
