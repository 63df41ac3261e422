import { subscribe } from 'node:diagnostics_channel';
import { EventEmitter, once } from 'node:events';
import type { ServerResponse } from 'node:http';
import net from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Listener } from './process.ts';
import { readPath } from './request-log.ts';

/** How long a connection without a request may stay after the listener has closed, in milliseconds. */
const LINGER_MS = 500;

interface RequestStart {
  response: ServerResponse;
}

interface OpenRequest {
  response: ServerResponse;
  /** By performance.now(). */
  startedAt: number;
}

/**
 * HTTP on the app's port. Fastify and Node close idle connections together with the listener, but a router's next
 * request may be on its way on one of them; and a connection that never sends a whole request holds them for ever.
 * This listener knows what is open, answers that, and closes the rest a little later.
 */
export function openHttpListener(app: FastifyInstance): Listener {
  // No Map: it gets a new table every hundred requests or so, to which the old one refers. Of that chain V8's young
  // collections free nothing once a part of it is old, and the memory under load was a quarter more.
  const open: OpenRequest[] = [];
  const events = new EventEmitter();
  let draining = false;

  // Node's own channel sees the requests of all servers that Fastify binds: localhost is two addresses.
  subscribe('http.server.request.start', (message) => {
    const { response } = message as RequestStart;
    const request = { response, startedAt: performance.now() };
    open.push(request);
    if (draining) askToReconnect(response);
    response.once('close', () => {
      open[open.indexOf(request)] = open.at(-1)!;
      open.pop();
      if (open.length === 0) events.emit('answered');
    });
  });

  async function waitForAnswers(): Promise<void> {
    while (open.length > 0) await once(events, 'answered');
  }

  return {
    listen: (address) => app.listen({ ...address, listenTextResolver }),
    announceClose() {
      draining = true;
      for (const { response } of open) askToReconnect(response);
    },
    async close() {
      // Without a delay there is no router to wait for, as in development.
      const lingerMs = app.config.SHUTDOWN_DELAY_MS === 0 ? 0 : LINGER_MS;
      const ended = once(app.server, 'close');
      // Just after new connections were taken: those that wait for it when the listener closes are reset.
      await setImmediate();
      net.Server.prototype.close.call(app.server);
      await waitForAnswers();
      await Promise.race([ended, sleep(lingerMs)]);
      await waitForAnswers();
      app.server.closeAllConnections();
      await app.close();
    },
    openRequests: () => open.map(describeRequest),
  };
}

/** Sent from the signal on: a router that hears it only at the close has sent the next request already. */
function askToReconnect(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close');
}

function listenTextResolver(address: string): string {
  return `Server listening at ${address.replace('[::]', 'localhost')}`;
}

function describeRequest({ response: { req }, startedAt }: OpenRequest): object {
  return {
    method: req.method,
    path: readPath(req.url as string),
    ageMs: Math.round(performance.now() - startedAt),
  };
}
