import { subscribe } from 'node:diagnostics_channel';
import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Listener } from './process.ts';
import { readPath } from './request-log.ts';

/** How long an idle connection is kept after the port was closed, in milliseconds. */
const LINGER_MS = 500;

interface RequestStart {
  request: IncomingMessage;
  response: ServerResponse;
}

interface OpenRequest {
  /** Not there when the connection was upgraded, as for a WebSocket. */
  response?: ServerResponse;
  /** By performance.now(). */
  startedAt: number;
}

/**
 * HTTP on the app's port. Fastify and Node close idle connections together with the port, but a router's next request
 * may be on its way on one of them; and a connection that never sends a whole request would keep the process
 * forever. This listener knows what is open, answers that, and closes the rest a little later.
 */
export function openHttpListener(app: FastifyInstance): Listener {
  const open = new Map<IncomingMessage, OpenRequest>();
  const events = new EventEmitter();
  let draining = false;

  const track = (request: IncomingMessage, stream: Duplex | ServerResponse, entry: OpenRequest) => {
    open.set(request, entry);
    stream.once('close', () => {
      open.delete(request);
      if (open.size === 0) events.emit('answered');
    });
  };

  // Node's own channel sees the requests of all servers that Fastify binds: localhost is two addresses.
  subscribe('http.server.request.start', (message) => {
    const { request, response } = message as RequestStart;
    track(request, response, { response, startedAt: performance.now() });
    if (draining) askToReconnect(response);
  });
  // Those that ask for an upgrade are not in that channel. Where nobody else listens they are requests like any other.
  if (app.server.listenerCount('upgrade') > 0)
    app.server.prependListener('upgrade', (request, socket) => {
      track(request, socket, { startedAt: performance.now() });
      if (app.server.listenerCount('upgrade') === 1) socket.destroy();
    });

  async function waitForAnswers(): Promise<void> {
    while (open.size > 0) await once(events, 'answered');
  }

  return {
    listen: (address) => app.listen({ ...address, listenTextResolver }),
    announceClose() {
      draining = true;
      for (const { response } of open.values()) if (response) askToReconnect(response);
    },
    async close() {
      // Without a delay there is no router to wait for, as in development.
      const lingerMs = app.config.SHUTDOWN_DELAY_MS === 0 ? 0 : LINGER_MS;
      const ended = once(app.server, 'close');
      // Just after new connections were taken: those that wait for it when the port closes are reset.
      await setImmediate();
      // The method of http.Server would close idle connections too.
      net.Server.prototype.close.call(app.server);
      await Promise.race([ended, sleep(lingerMs)]);
      const closeConnections = async () => {
        await waitForAnswers();
        await Promise.race([ended, sleep(lingerMs)]);
        await waitForAnswers();
        app.server.closeAllConnections();
      };
      // Aborts app.stopping, runs the preClose hooks, waits for all connections, runs the onClose hooks.
      await Promise.all([app.close(), closeConnections()]);
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

function describeRequest([request, { response, startedAt }]: [
  IncomingMessage,
  OpenRequest,
]): object {
  return {
    method: request.method,
    path: readPath(request.url as string),
    ...(!response && { upgrade: request.headers.upgrade }),
    ageMs: Math.round(performance.now() - startedAt),
  };
}
