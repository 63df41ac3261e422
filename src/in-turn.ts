import { AsyncResource } from 'node:async_hooks';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import { countReceived } from './held-memory.ts';
import { findOpenRequest } from './open-request.ts';

/** The key of the last answer of a connection, until it is sent. */
const LAST = Symbol('last answer');

/** How much of a body Node keeps for a request that does not read it yet, in bytes. */
const MAX_KEPT = 64 * 1024;

type Connection = Socket & { [LAST]?: ServerResponse | undefined };

/**
 * Notes the place of a request among those of its connection, which HTTP/1.1 answers in turn. Node
 * reads thousands of them in one piece: their answers would all be in memory before one is sent.
 *
 * @returns a function that calls another one when the earlier requests are answered, or never if
 * the connection ends before that
 */
export function takeTurn({ raw, request, server }: FastifyReply): (handle: () => void) => void {
  const connection: Connection = request.raw.socket;
  const last = connection[LAST];
  connection[LAST] = raw;
  raw.once('close', () => {
    if (connection[LAST] === raw) connection[LAST] = undefined;
  });
  const entry = findOpenRequest(request.raw);
  return (handle) => {
    const begin = () => {
      entry?.beginTurn();
      // Node has ended a connection whose last answer is sent. The one of app.inject has no state.
      if (!connection.destroyed && connection.writable !== false) handle();
    };
    // A handler may pass its request to the router again.
    if (!last || last === raw || last.closed) return begin();
    entry?.waitForTurn();
    if (hasBody(request.headers)) countReceived(server.openRequests, MAX_KEPT);
    // Otherwise it would run in the context of the last request, such as its trace.
    last.once(
      'close',
      AsyncResource.bind(() => process.nextTick(begin)),
    );
  };
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  return 'content-length' in headers || 'transfer-encoding' in headers;
}
