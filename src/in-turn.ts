import { AsyncLocalStorage } from 'node:async_hooks';
import type { FastifyReply } from 'fastify';
import { mayHaveBody } from '../plugins/validation/read-body.ts';
import { countReceived } from './held-memory.ts';
import type { OpenRequest } from './open-request.ts';

/** How much of a body Node keeps for a request that does not read it yet, in bytes. */
const MAX_KEPT = 64 * 1024;

/** Calls `handle` when the previous request is answered, or never if the connection ends before. */
export function handleAfter(
  previous: OpenRequest,
  entry: OpenRequest,
  { request, server }: FastifyReply,
  handle: () => void,
): void {
  // Node reads thousands of requests in one piece: all their answers would be in memory at once.
  const { socket } = entry;
  const begin = () => {
    entry.turnAt = performance.now();
    // Node has ended a connection whose last answer is sent.
    if (!socket.destroyed && socket.writable) handle();
  };
  const answer = previous.reply!.raw;
  // It closed while the rate limit counted this request.
  if (answer.closed) return void begin();
  entry.turnAt = Number.POSITIVE_INFINITY;
  if (mayHaveBody(request.headers)) countReceived(server.openRequests, MAX_KEPT);
  // bind() keeps this request's own trace. setImmediate() lets requests of other clients run.
  const later = AsyncLocalStorage.bind(() => setImmediate(begin));
  answer.once('close', later);
}
