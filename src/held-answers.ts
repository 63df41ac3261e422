import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { OpenRequest } from './open-requests.ts';
import { findSlowest, sum } from './slowest.ts';

/** The most bytes that are held for all clients together until they have read them. */
const MAX_HELD = 40 * 1024 * 1024;

/**
 * Where more than MAX_HELD may be held, it is counted: after each large answer, and after so many
 * bytes of small ones. It takes milliseconds where thousands are open.
 */
const LOOK_AFTER = MAX_HELD / 4;

/** A larger answer is sent in pieces of so many bytes: how far its client has read is seen. */
const PIECE = 64 * 1024;

/** Bounds what waits to be sent: past MAX_HELD, those who read slowest are cut off. */
export function boundHeldAnswers(app: FastifyInstance): void {
  let known = 0;
  let passed = 0;
  app.addHook('onSend', (request, reply, payload, done) => {
    const isHead = request.method === 'HEAD';
    // Fastify reads to its end what a HEAD does not send, and a stream of events has none.
    if (isHead && payload instanceof Readable) reply.raw.once('close', () => payload.destroy());
    const isWhole = typeof payload === 'string' || Buffer.isBuffer(payload);
    if (isHead || !isWhole) return done(null, payload);
    const entry = payload.length > PIECE ? app.openRequests.get(request.raw) : undefined;
    const sent = entry ? sendInPieces(entry, reply, payload) : payload;
    passed += entry?.size ?? Buffer.byteLength(payload);
    if (known + passed > MAX_HELD && (entry || passed > LOOK_AFTER)) {
      const entries = app.openRequests.list();
      entries.forEach(observe);
      known = cutOffSlowest(entries);
      passed = 0;
    }
    done(null, sent);
  });
}

function sendInPieces(entry: OpenRequest, reply: FastifyReply, payload: string | Buffer): Readable {
  const size = Buffer.byteLength(payload);
  reply.header('content-length', size);
  Object.assign(entry, { payload, size, sentBefore: entry.request.socket.bytesWritten });
  return Readable.from(cut(entry), { objectMode: false, highWaterMark: PIECE });
}

/** A text is cut as it is: a copy of its bytes would stay in memory for a while. */
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

/** Notes how much waits for the client, and when it last took something or had nothing to take. */
export function observe(entry: OpenRequest): void {
  const { socket } = entry.request;
  const sent = socket.bytesWritten - socket.writableLength;
  const queued = entry.reply?.raw.writableLength ?? socket.writableLength;
  const left = Math.max(queued, entry.size - (sent - entry.sentBefore));
  entry.waiting = socket.destroyed ? 0 : left;
  if (sent !== entry.sent || entry.waiting === 0) entry.progressAt = performance.now();
  entry.sent = sent;
}

/**
 * Cuts off the connections that read slowest, until no more than MAX_HELD is held.
 *
 * @returns the bytes that are held at most
 */
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

/** A connection closes at the end of the event loop's turn: what it holds is let go at once. */
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
