import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Server, ServerResponse } from 'node:http';
import net from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Listener } from './process.ts';

/** How long an idle connection is kept after the port was closed, in milliseconds. */
const LINGER_MS = 500;

/**
 * HTTP on the app's port. Fastify and Node close idle connections together with the port, but a
 * router's next request may be on its way on one of them, and one that never sends a whole request
 * would keep the process forever: here what is open is answered, and the rest closed a little
 * later.
 */
export function openHttpListener(app: FastifyInstance): Listener {
  const { server, openRequests } = app;
  openRequests.trackUpgrades(server);
  let localhost: net.Server | undefined;
  return {
    async listen({ host, port }) {
      const isLocalhost = host === 'localhost';
      // The line of the log has `localhost` for an address that a browser need not know.
      const hidden = isLocalhost ? '127.0.0.1' : '[::]';
      const listenTextResolver = (address: string) =>
        `Server listening at ${address.replace(hidden, 'localhost')}`;
      await app.listen({ host: isLocalhost ? '127.0.0.1' : host, port, listenTextResolver });
      if (isLocalhost) localhost = await listenOnIPv6(server);
    },
    announceClose() {
      const announce = (response: ServerResponse) => {
        if (!response.headersSent) response.setHeader('connection', 'close');
      };
      for (const { reply } of openRequests.list()) if (reply) announce(reply.raw);
      subscribe('http.server.request.start', (message) =>
        announce((message as { response: ServerResponse }).response),
      );
    },
    async close() {
      // Without a delay there is no router to wait for, as in development.
      const lingerMs = app.config.SHUTDOWN_DELAY_MS === 0 ? 0 : LINGER_MS;
      const ended = once(server, 'close');
      // New connections were taken just now: those that wait when the port closes are reset.
      await setImmediate();
      // The method of http.Server would close idle connections too.
      net.Server.prototype.close.call(server);
      localhost?.close();
      await Promise.race([ended, sleep(lingerMs)]);
      const closeConnections = async () => {
        await openRequests.waitUntilAnswered();
        await Promise.race([ended, sleep(lingerMs)]);
        await openRequests.waitUntilAnswered();
        server.closeAllConnections();
      };
      // Aborts app.stopping, runs preClose hooks, waits for all connections, runs onClose hooks.
      await Promise.all([app.close(), closeConnections()]);
    },
    openRequests: () => openRequests.describe(),
  };
}

/**
 * `localhost` is two addresses. For the second, Fastify would open a server that lacks what plugins
 * have added to the first: here its connections become the first one's, where there is IPv6.
 */
async function listenOnIPv6(server: Server): Promise<net.Server> {
  const { port } = server.address() as net.AddressInfo;
  const options = { allowHalfOpen: true, noDelay: true };
  const second = net.createServer(options, (socket) => void server.emit('connection', socket));
  await once(second.listen(port, '::1'), 'listening').catch((error) => {
    if (error.code === 'EADDRINUSE') throw error;
  });
  return second;
}
