import type { OpenRequest } from './open-requests.ts';
import { findSlowest } from './slowest.ts';

/** The most bytes of incomplete bodies in memory, for all clients together. */
const MAX_HELD = 96 * 1024 * 1024;

/**
 * Limits the memory for incomplete bodies. Above MAX_HELD, the slowest senders are cut off. A body
 * that a route reads as a stream counts as at most the route's `bodyLimit`.
 */
export function cutOffSlowestSenders(entries: OpenRequest[]): void {
  const senders = entries
    .filter(({ request }) => !request.complete && !request.socket.destroyed)
    .map((entry) => {
      const held = countHeld(entry);
      return { entry, held, waiting: held, progressAt: findProgress(entry) };
    });
  for (const { entry } of findSlowest(senders, MAX_HELD)) {
    entry.reply?.log.warn('The client does not send the rest of its body: it is cut off');
    entry.request.socket.destroy();
  }
}

/** `bytesRead` includes earlier requests of the connection, so the body's length is the limit. */
function countHeld({ request, reply }: OpenRequest): number {
  const length = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY);
  const limit = reply?.request.routeOptions.bodyLimit ?? 0;
  return Math.min(request.socket.bytesRead, length, limit);
}

function findProgress(entry: OpenRequest): number {
  const { bytesRead } = entry.request.socket;
  if (bytesRead !== entry.received) entry.receivedAt = performance.now();
  entry.received = bytesRead;
  return entry.receivedAt;
}
