import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import net from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Listener } from './process.ts';

/** How long an idle connection is kept after the port was closed, in milliseconds. */
const LINGER_MS = 500;

/**
 * HTTP on the app's port. Fastify and Node close idle connections together with the port, but a router's next request
 * may be on its way on one of them; and a connection that never sends a whole request would keep the process
 * forever. This listener knows what is open, answers that, and closes the rest a little later.
 */
export function openHttpListener(app: FastifyInstance): Listener {
  const { server, openRequests } = app;
  openRequests.trackUpgrades(server);
  return {
    listen: (address) => app.listen({ ...address, listenTextResolver }),
    announceClose() {
      for (const { reply } of openRequests.list()) if (reply) askToReconnect(reply.raw);
      // Node's own channel has the requests of all servers that Fastify binds: localhost is two addresses.
      subscribe('http.server.request.start', (message) =>
        askToReconnect((message as { response: ServerResponse }).response),
      );
    },
    async close() {
      // Without a delay there is no router to wait for, as in development.
      const lingerMs = app.config.SHUTDOWN_DELAY_MS === 0 ? 0 : LINGER_MS;
      const ended = once(server, 'close');
      // Just after new connections were taken: those that wait for it when the port closes are reset.
      await setImmediate();
      // The method of http.Server would close idle connections too.
      net.Server.prototype.close.call(server);
      await Promise.race([ended, sleep(lingerMs)]);
      const closeConnections = async () => {
        await openRequests.waitUntilAnswered();
        await Promise.race([ended, sleep(lingerMs)]);
        await openRequests.waitUntilAnswered();
        server.closeAllConnections();
      };
      // Aborts app.stopping, runs the preClose hooks, waits for all connections, runs the onClose hooks.
      await Promise.all([app.close(), closeConnections()]);
    },
    openRequests: () => openRequests.describe(),
  };
}

/** Sent from the signal on: a router that hears it only at the close has sent the next request already. */
function askToReconnect(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close');
}

function listenTextResolver(address: string): string {
  return `Server listening at ${address.replace('[::]', 'localhost')}`;
}
