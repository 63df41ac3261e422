import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { readPath } from './log.ts';
import type { Door } from './process.ts';

/** How long a connection without a request may stay after the last answer, in milliseconds. */
const LINGER_MS = 500;

interface RequestStart {
  request: IncomingMessage;
  response: ServerResponse;
  server: Server;
}

/**
 * HTTP on the app's port. Fastify closes idle connections when it closes, but a connection that becomes idle later
 * keeps it open, and one that never sends a whole request does too: this door knows what is open and closes the rest.
 */
export function openHttpDoor(app: FastifyInstance): Door {
  const open = new Map<ServerResponse, number>();
  let draining = false;
  let closing = false;

  // Node's own channel sees the requests of all servers that Fastify binds: localhost is two addresses.
  subscribe('http.server.request.start', (message) => {
    const { response, server } = message as RequestStart;
    open.set(response, performance.now());
    if (draining) askToReconnect(response);
    response.once('close', () => {
      open.delete(response);
      // Its header was sent before the signal: the client thinks that the connection stays.
      if (closing && response.shouldKeepAlive) setImmediate(() => server.closeIdleConnections());
    });
  });

  return {
    listen: (address) => app.listen({ ...address, listenTextResolver }),
    announceClose() {
      draining = true;
      for (const response of open.keys()) askToReconnect(response);
    },
    async close() {
      closing = true;
      const closed = app.close();
      while (open.size > 0) await Promise.race([...open.keys()].map((response) => once(response, 'close')));
      await Promise.race([closed, sleep(LINGER_MS)]);
      app.server.closeAllConnections();
      await closed;
    },
    openRequests: () => [...open].map(describeRequest),
  };
}

/** Sent from the signal on: a router that hears it only at the close has sent the next request already. */
function askToReconnect(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close');
}

function listenTextResolver(address: string): string {
  return `Server listening at ${address.replace('[::]', 'localhost')}`;
}

function describeRequest([{ req }, startedAt]: [ServerResponse, number]): object {
  return { method: req.method, path: readPath(req.url as string), ageMs: Math.round(performance.now() - startedAt) };
}
