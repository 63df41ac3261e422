import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Server, ServerResponse } from 'node:http';
import net from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Listener } from './process.ts';

/** How long an idle connection is kept after the port was closed, in milliseconds. */
const LINGER_MS = 500;

/** HTTP on the app's port, as the process type `web` has it. */
export const openHttpListener = (app: FastifyInstance): Listener => new HttpListener(app);

/**
 * Fastify and Node close idle connections together with the port, but a router's next request may
 * be on its way on one of them, and one that never sends a whole request would keep the process
 * forever: here what is open is answered, and the rest closed a little later.
 */
export class HttpListener implements Listener {
  protected readonly app: FastifyInstance;
  #localhost: net.Server | undefined;

  constructor(app: FastifyInstance) {
    this.app = app;
    app.openRequests.trackUpgrades(app.server);
  }

  async listen({ host, port }: { host: string; port: number }): Promise<void> {
    const isLocalhost = host === 'localhost';
    // The line of the log has `localhost` for an address that a browser need not know.
    const hidden = isLocalhost ? '127.0.0.1' : '[::]';
    const listenTextResolver = (address: string) =>
      `Server listening at ${address.replace(hidden, 'localhost')}`;
    await this.app.listen({ host: isLocalhost ? '127.0.0.1' : host, port, listenTextResolver });
    if (isLocalhost) this.#localhost = await listenOnIPv6(this.app.server);
  }

  announceClose(): void {
    for (const { reply } of this.app.openRequests.list()) if (reply) askToLeave(reply.raw);
    subscribe('http.server.request.start', (message) =>
      askToLeave((message as { response: ServerResponse }).response),
    );
  }

  async close(): Promise<void> {
    const { server } = this.app;
    const ended = once(server, 'close');
    // New connections were taken just now: those that wait when the port closes are reset.
    await setImmediate();
    // The method of http.Server would close idle connections too.
    net.Server.prototype.close.call(server);
    this.#localhost?.close();
    await this.#linger(ended);
    // Aborts app.stopping, runs preClose hooks, waits for all connections, runs onClose hooks.
    await Promise.all([this.app.close(), this.#closeConnections(ended)]);
  }

  openRequests(): object[] {
    return this.app.openRequests.describe();
  }

  async #closeConnections(ended: Promise<unknown>): Promise<void> {
    const { openRequests, server } = this.app;
    await openRequests.waitUntilAnswered();
    await this.#linger(ended);
    await openRequests.waitUntilAnswered();
    server.closeAllConnections();
  }

  /** Without a delay there is no router to wait for, as in development. */
  async #linger(ended: Promise<unknown>): Promise<void> {
    const lingerMs = this.app.config.SHUTDOWN_DELAY_MS === 0 ? 0 : LINGER_MS;
    await Promise.race([ended, sleep(lingerMs)]);
  }
}

/** The client comes back on another connection. */
function askToLeave(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close');
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
