import { AsyncResource } from 'node:async_hooks';
import type { FastifyReply } from 'fastify';
import { mayHaveBody } from '../plugins/validation/read-body.ts';
import { countReceived } from './held-memory.ts';
import type { OpenRequest } from './open-request.ts';

/** How much of a body Node keeps for a request that does not read it yet, in bytes. */
const MAX_KEPT = 64 * 1024;

/**
 * Calls `handle` when the previous request of the connection is answered, or never if the
 * connection ends before that. HTTP/1.1 answers requests in turn, but Node reads thousands of them
 * in one piece: their answers would all be in memory before one is sent.
 */
export function handleAfter(
  previous: OpenRequest,
  entry: OpenRequest,
  { request, server }: FastifyReply,
  handle: () => void,
): void {
  const { socket } = entry;
  const begin = () => {
    // Node has ended a connection whose last answer is sent.
    if (!socket.destroyed && socket.writable) handle();
  };
  const answer = previous.reply!.raw;
  // It closed while the rate limit counted this request.
  if (answer.closed) return void begin();
  entry.turnAt = Number.POSITIVE_INFINITY;
  if (mayHaveBody(request.headers)) countReceived(server.openRequests, MAX_KEPT);
  const takeTurn = () => {
    entry.turnAt = performance.now();
    begin();
  };
  // Without bind, it would run in the context of the previous request, such as its trace. Without
  // setImmediate, the thousands of requests of one client would run before those of others.
  answer.once(
    'close',
    AsyncResource.bind(() => setImmediate(takeTurn)),
  );
}
