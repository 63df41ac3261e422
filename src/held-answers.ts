import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { OpenRequest } from './open-requests.ts';
import { findSlowest, sum } from './slowest.ts';

/** The most bytes of unread answers in memory, for all clients together. */
const MAX_HELD = 40 * 1024 * 1024;

/**
 * If more than MAX_HELD may be held, the bytes are counted: after each large answer, and after this
 * many bytes of small ones. Counting takes milliseconds if thousands of requests are open.
 */
const COUNT_AFTER = MAX_HELD / 4;

/** Larger answers are sent in pieces of this many bytes, to see how far the client has read. */
const PIECE = 64 * 1024;

/** Limits the memory for unread answers. Above MAX_HELD, the slowest readers are cut off. */
export function boundHeldAnswers(app: FastifyInstance): void {
  let lastCount = 0;
  let sentSince = 0;
  app.addHook('onSend', (request, reply, payload, done) => {
    const isHead = request.method === 'HEAD';
    // Fastify reads a stream to its end even for HEAD, but a stream of events never ends.
    if (isHead && payload instanceof Readable) reply.raw.once('close', () => payload.destroy());
    const isWhole = typeof payload === 'string' || Buffer.isBuffer(payload);
    if (isHead || !isWhole) return done(null, payload);
    const entry = payload.length > PIECE ? app.openRequests.get(request.raw) : undefined;
    const sent = entry ? sendInPieces(entry, reply, payload) : payload;
    sentSince += entry?.size ?? Buffer.byteLength(payload);
    if (lastCount + sentSince > MAX_HELD && (entry || sentSince > COUNT_AFTER)) {
      const entries = app.openRequests.list();
      entries.forEach(observe);
      lastCount = cutOffSlowest(entries);
      sentSince = 0;
    }
    done(null, sent);
  });
}

function sendInPieces(entry: OpenRequest, reply: FastifyReply, payload: string | Buffer): Readable {
  const size = Buffer.byteLength(payload);
  reply.header('content-length', size);
  Object.assign(entry, { payload, size, sentBefore: entry.request.socket.bytesWritten });
  return Readable.from(splitPayload(entry), { objectMode: false, highWaterMark: PIECE });
}

/** Strings are cut as strings: a copy as a Buffer would stay in memory for a while. */
function* splitPayload(entry: OpenRequest): Generator<string | Buffer> {
  for (let start = 0, end = 0; start < entry.payload.length; start = end) {
    const { payload } = entry;
    end = start + PIECE;
    if (typeof payload === 'string' && isHighSurrogate(payload.charCodeAt(end - 1))) end++;
    yield typeof payload === 'string' ? payload.slice(start, end) : payload.subarray(start, end);
  }
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00;
}

/** Records how much waits for the client, and when it last read or had nothing to read. */
export function observe(entry: OpenRequest): void {
  const { socket } = entry.request;
  const sent = socket.bytesWritten - socket.writableLength;
  const queued = entry.reply?.raw.writableLength ?? socket.writableLength;
  const left = Math.max(queued, entry.size - (sent - entry.sentBefore));
  entry.waiting = socket.destroyed ? 0 : left;
  if (sent !== entry.sent || entry.waiting === 0) entry.progressAt = performance.now();
  entry.sent = sent;
}

/** Cuts off the slowest readers above MAX_HELD. Returns a maximum of the bytes still held. */
export function cutOffSlowest(entries: OpenRequest[]): number {
  const unread = entries.filter(({ waiting }) => waiting > 0);
  const held = sum(unread.map(countHeld));
  if (held <= MAX_HELD) return held;
  const connections = [...Map.groupBy(unread, ({ request }) => request.socket).values()];
  const readers = connections.map((open) => ({
    open,
    waiting: sum(open.map(({ waiting }) => waiting)),
    held: sum(open.map(countHeld)),
    progressAt: Math.max(...open.map(({ progressAt }) => progressAt)),
  }));
  for (const { open } of findSlowest(readers, MAX_HELD)) cutOff(open);
  return MAX_HELD;
}

function countHeld({ size, waiting }: OpenRequest): number {
  return Math.max(size, waiting);
}

/** Frees the memory now, because a connection closes only after this turn of the event loop. */
export function cutOff(entries: OpenRequest[]): void {
  for (const entry of entries) {
    const { socket } = entry.request;
    if (!socket.destroyed)
      entry.reply?.log.warn('The client does not read its answer: it is cut off');
    socket.destroy();
    entry.payload = '';
    entry.waiting = 0;
  }
}
