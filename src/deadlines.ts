import { Readable } from 'node:stream';
import { errorCodes, type FastifyInstance, type FastifyReply } from 'fastify';
import type { OpenRequest } from './open-requests.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False for a route that may take longer than REQUEST_TIMEOUT_MS until its first byte. */
    timeout?: boolean;
  }
}

/** How often the open requests are looked at, in milliseconds. */
const SWEEP_MS = 1_000;

/** How long a client may read nothing of what waits for it, in milliseconds. */
const STALL_MS = 45_000;

/** The most bytes that are held for all clients together until they have read them. */
const MAX_HELD = 40 * 1024 * 1024;

/** An answer of more bytes is sent in pieces of this size: how far its client has read can be seen. */
const PIECE = 64 * 1024;

/**
 * Bounds the time until the first byte of an answer (REQUEST_TIMEOUT_MS, or `config: { timeout: false }` on a route),
 * the time in which a client reads nothing, and what waits to be sent. One timer does it for all requests: Fastify's
 * `handlerTimeout` has one for each, and ends a stream that has begun.
 */
export function watchDeadlines(app: FastifyInstance): void {
  const { REQUEST_TIMEOUT_MS } = app.config;
  const sweep = () => {
    const entries = app.openRequests.list();
    entries.forEach(observe);
    for (const entry of entries) {
      if (isLate(entry, REQUEST_TIMEOUT_MS)) answerLate(entry, entry.reply!, REQUEST_TIMEOUT_MS);
      else if (performance.now() - entry.progressAt > STALL_MS) cutOff(entry);
    }
    cutOffSlowest(entries);
  };
  const timer = setInterval(sweep, Math.min(SWEEP_MS, REQUEST_TIMEOUT_MS / 4)).unref();
  app.addHook('onClose', async () => clearInterval(timer));
  app.addHook('onSend', (request, reply, payload, done) => {
    // Fastify reads to its end what a HEAD does not send, and a stream of events has none.
    if (request.method === 'HEAD' && payload instanceof Readable)
      reply.raw.once('close', () => payload.destroy());
    const isWhole = typeof payload === 'string' || Buffer.isBuffer(payload);
    if (!isWhole || payload.length <= PIECE || request.method === 'HEAD')
      return done(null, payload);
    const entry = app.openRequests.get(request.raw);
    if (!entry) return done(null, payload);
    const size = Buffer.byteLength(payload);
    reply.header('content-length', size);
    Object.assign(entry, { payload, size, sentBefore: request.socket.bytesWritten });
    const entries = app.openRequests.list();
    entries.forEach(observe);
    cutOffSlowest(entries);
    done(null, Readable.from(cut(entry), { objectMode: false, highWaterMark: PIECE }));
  });
}

/** A text is cut as it is: a copy of its bytes would stay in memory until the garbage is collected. */
function* cut(entry: OpenRequest): Generator<string | Buffer> {
  for (let start = 0, end = 0; start < entry.payload.length; start = end) {
    const { payload } = entry;
    end = start + PIECE;
    if (typeof payload === 'string' && isHighSurrogate(payload.charCodeAt(end - 1))) end++;
    yield typeof payload === 'string' ? payload.slice(start, end) : payload.subarray(start, end);
  }
}

/** The first half of a character that is two in UTF-16. */
function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00;
}

function isLate(entry: OpenRequest, timeoutMs: number): boolean {
  const { reply, startedAt } = entry;
  if (!reply || entry.isLate || reply.raw.headersSent) return false;
  if (reply.sent && entry.request.headers.upgrade) return false;
  if (reply.request.routeOptions.config.timeout === false) return false;
  return performance.now() - startedAt > timeoutMs;
}

/** What the handler still returns or throws is no answer; request.signal tells it that nobody waits. */
function answerLate(entry: OpenRequest, reply: FastifyReply, timeoutMs: number): void {
  entry.isLate = true;
  const err = new errorCodes.FST_ERR_HANDLER_TIMEOUT(timeoutMs, reply.request.routeOptions.url);
  if (reply.sent) {
    reply.log.error({ err }, 'A hijacked answer has not begun: its connection is ended');
    return void reply.raw.destroy();
  }
  reply.send(err);
  reply.hijack();
  reply.request.raw.emit('close');
}

/** Notes how much waits for the client, and when it was last seen to take something or had nothing to take. */
function observe(entry: OpenRequest): void {
  const { socket } = entry.request;
  const sent = socket.bytesWritten - socket.writableLength;
  const queued = entry.reply?.raw.writableLength ?? socket.writableLength;
  const left = Math.max(queued, entry.size - (sent - entry.sentBefore));
  entry.waiting = socket.destroyed ? 0 : left;
  if (sent !== entry.sent || entry.waiting === 0) entry.progressAt = performance.now();
  entry.sent = sent;
}

/** Of those for whom more than the average waits, those that have read nothing for the longest time go first. */
function cutOffSlowest(entries: OpenRequest[]): void {
  const readers = entries.filter(({ waiting }) => waiting > 0);
  let held = readers.reduce((sum, { size, waiting }) => sum + Math.max(size, waiting), 0);
  if (held <= MAX_HELD) return;
  const average = readers.reduce((sum, { waiting }) => sum + waiting, 0) / readers.length;
  const slowest = readers.filter(({ waiting }) => waiting >= average);
  for (const entry of slowest.sort((one, other) => one.progressAt - other.progressAt)) {
    if (held <= MAX_HELD) return;
    held -= Math.max(entry.size, entry.waiting);
    cutOff(entry);
  }
}

/** A connection closes at the end of the event loop's turn: until then a burst would hold all that it has asked for. */
function cutOff(entry: OpenRequest): void {
  entry.reply?.log.warn('The client does not read its answer: it is cut off');
  entry.request.socket.destroy();
  entry.payload = '';
  entry.waiting = 0;
}
