import type { OpenRequest } from './open-requests.ts';
import { findSlowest } from './slowest.ts';

/** The most bytes of bodies that are not complete, for all clients together. */
const MAX_HELD = 96 * 1024 * 1024;

/**
 * Bounds what is held of bodies until they are complete: past MAX_HELD, the clients that send
 * slowest are cut off. Of a body that a route reads as a stream, no more is counted than its limit
 * for others.
 */
export function cutOffSlowestSenders(entries: OpenRequest[]): void {
  const senders = entries
    .filter(({ request }) => !request.complete && !request.socket.destroyed)
    .map((entry) => {
      const held = countHeld(entry);
      return { entry, held, waiting: held, progressAt: observe(entry) };
    });
  for (const { entry } of findSlowest(senders, MAX_HELD)) {
    entry.reply?.log.warn('The client does not send the rest of its body: it is cut off');
    entry.request.socket.destroy();
  }
}

/** The connection may have had other requests before, so it is no more than the body will have. */
function countHeld({ request, reply }: OpenRequest): number {
  const length = Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY);
  const limit = reply?.request.routeOptions.bodyLimit ?? 0;
  return Math.min(request.socket.bytesRead, length, limit);
}

/** @returns when its client was last seen to send something */
function observe(entry: OpenRequest): number {
  const { bytesRead } = entry.request.socket;
  if (bytesRead !== entry.received) entry.receivedAt = performance.now();
  entry.received = bytesRead;
  return entry.receivedAt;
}
