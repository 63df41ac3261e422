import { cutOff, type OpenRequest, UNREAD } from './open-request.ts';
import type { OpenRequests } from './open-requests.ts';

/** The most bytes of unread answers in memory, for all clients together. */
const MAX_UNREAD = 40 * 1024 * 1024;

/** What an open request takes at least, in bytes: a client may send thousands of small ones. */
const REQUEST_BYTES = 8 * 1024;

/** The most bytes of incomplete bodies in memory, for all clients together. */
const MAX_INCOMPLETE = 96 * 1024 * 1024;

const INCOMPLETE = 'The client does not send the rest of its body: it is cut off';

/** Bytes between counts. A count takes milliseconds if thousands of requests are open. */
const COUNT_AFTER = MAX_UNREAD / 4;

/** The progress of a client that sends requests before it has its answers: it is cut off first. */
const NO_PROGRESS = 0;

/** A client's open requests, the bytes held for it in memory, and how many of them wait for it. */
interface Client {
  open: OpenRequest[];
  held: number;
  waiting: number;
  progressAt: number;
}

/** Counts the bytes of an answer, and cuts off the slowest readers if too many are held. */
export function countAnswer(openRequests: OpenRequests, bytes: number, isLarge: boolean): void {
  openRequests.sentSince += Math.max(bytes, REQUEST_BYTES);
  const { heldBefore, sentSince } = openRequests;
  if (heldBefore + sentSince <= MAX_UNREAD || (!isLarge && sentSince <= COUNT_AFTER)) return;
  openRequests.heldBefore = cutOffSlowestReaders(observeAll(openRequests));
  openRequests.sentSince = 0;
}

export function observeAll(openRequests: OpenRequests): OpenRequest[] {
  const entries = openRequests.list();
  entries.forEach(observe);
  return entries;
}

/** Records what waits for the client, and when it last read, sent, or had nothing to read. */
export function observe(entry: OpenRequest): void {
  const { socket } = entry;
  const now = performance.now();
  const sent = socket.bytesWritten - socket.writableLength;
  const queued = entry.reply?.raw.writableLength ?? socket.writableLength;
  const left = Math.max(queued, entry.size - (sent - entry.sentBefore));
  entry.waiting = socket.destroyed ? 0 : left;
  if (sent !== entry.sent || entry.waiting === 0) entry.progressAt = now;
  if (socket.bytesRead !== entry.received) entry.receivedAt = now;
  Object.assign(entry, { sent, received: socket.bytesRead });
}

/** Cuts off the slowest readers above MAX_UNREAD. Returns an upper bound of what is still held. */
export function cutOffSlowestReaders(entries: OpenRequest[]): number {
  // A request that waits for its turn has no answer yet, but takes memory.
  const unread = entries.filter((entry) => entry.waiting > 0 || waitsForEarlier(entry));
  const connections = Map.groupBy(unread, ({ socket }) => socket);
  const readers = Array.from(connections.values(), (open) => ({
    open,
    held: sum(open.map(countUnread)),
    waiting: sum(open.map(({ waiting }) => Math.max(waiting, REQUEST_BYTES))),
    // A connection can have more open requests than a function can have arguments.
    progressAt: open.some(waitsForEarlier)
      ? NO_PROGRESS
      : open.reduce((latest, entry) => Math.max(latest, entry.progressAt), 0),
  }));
  return cutOffSlowest(readers, MAX_UNREAD, UNREAD);
}

function waitsForEarlier({ turnAt }: OpenRequest): boolean {
  return turnAt === Number.POSITIVE_INFINITY;
}

function countUnread({ size, waiting }: OpenRequest): number {
  return Math.max(size, waiting, REQUEST_BYTES);
}

/** Counts received bytes of a body, and cuts off the slowest senders if too many are held. */
export function countReceived(openRequests: OpenRequests, bytes: number): void {
  openRequests.receivedSince += bytes;
  if (openRequests.receivedSince <= COUNT_AFTER) return;
  openRequests.receivedSince = 0;
  cutOffSlowestSenders(observeAll(openRequests));
}

/** Cuts off the slowest senders above MAX_INCOMPLETE. */
export function cutOffSlowestSenders(entries: OpenRequest[]): void {
  const senders = entries
    .map((entry) => {
      const held = countIncomplete(entry);
      return { open: [entry], held, waiting: held, progressAt: entry.receivedAt };
    })
    .filter(({ held }) => held > 0);
  cutOffSlowest(senders, MAX_INCOMPLETE, INCOMPLETE);
}

function countIncomplete(entry: OpenRequest): number {
  const { request, socket, reply, receivedBefore, isHandled } = entry;
  if (socket.destroyed || (request.complete && isHandled)) return 0;
  if (request.complete || isHandled) return request.readableLength;
  const length = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY);
  const limit = reply?.request.routeOptions.bodyLimit ?? 0;
  return Math.max(REQUEST_BYTES, Math.min(socket.bytesRead - receivedBefore, length, limit));
}

/** Cuts off clients, the longest without progress first, above `max` bytes. Returns what is left. */
function cutOffSlowest(clients: Client[], max: number, reason: string): number {
  let held = sum(clients.map((client) => client.held));
  if (held <= max) return held;
  const average = sum(clients.map(({ waiting }) => waiting)) / clients.length;
  const slowest = clients
    .filter(({ waiting, progressAt }) => progressAt === NO_PROGRESS || waiting >= average)
    .sort((one, other) => one.progressAt - other.progressAt || other.held - one.held);
  for (const client of slowest) {
    if (held <= max) break;
    held -= client.held;
    cutOff(client.open, reason);
  }
  return held;
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
