import { AsyncResource } from 'node:async_hooks';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';

/** The key of the last answer of a connection. */
const LAST = Symbol('last answer');

type Connection = Socket & { [LAST]?: ServerResponse };

/**
 * Notes the place of a request among those of its connection, which HTTP/1.1 answers in turn. Node
 * reads thousands of them in one piece: their answers would all be in memory before one is sent.
 *
 * @returns a function that calls another one when the earlier requests are answered, or never if
 * the client has gone or the request was too late
 */
export function takeTurn({ raw, request }: FastifyReply): (handle: () => void) => void {
  const connection: Connection = request.raw.socket;
  const last = connection[LAST];
  connection[LAST] = raw;
  return (handle) => {
    if (!last || last.closed) return handle();
    const begin = () => {
      if (!connection.destroyed && !raw.writableEnded) handle();
    };
    // Otherwise it would run in the context of the last request, such as its trace.
    last.once('close', AsyncResource.bind(begin));
  };
}
