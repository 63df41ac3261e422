import { subscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Server, ServerResponse } from 'node:http';
import net from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { hasBegun } from './node-http.ts';
import type { Listener } from './process.ts';

/** The longest time that idle connections stay open after the port has closed, in milliseconds. */
const IDLE_MS = 500;

/** The most of what SHUTDOWN_TIMEOUT_MS leaves after SHUTDOWN_DELAY_MS that this may take. */
const IDLE_SHARE = 0.2;

/** How many turns of the event loop the port stays open while connections still come. */
const MAX_TURNS = 1_000;

export const openHttpListener = (app: FastifyInstance): Listener => new HttpListener(app);

/**
 * Answers the open requests after the port has closed, then closes all connections. Fastify and
 * Node close idle connections with the port, but a router may be sending a request on one. They
 * also wait forever for a client that never sends its whole request.
 */
export class HttpListener implements Listener {
  protected readonly app: FastifyInstance;
  #localhost: net.Server | undefined;

  constructor(app: FastifyInstance) {
    this.app = app;
    // app.close() would end connections whose answers still wait for the client to read them.
    app.server.closeIdleConnections = () => undefined;
  }

  async listen({ host, port }: { host: string; port: number }): Promise<void> {
    const isLocalhost = host === 'localhost';
    // The log says `localhost` instead of these addresses: it works in a browser.
    const hidden = isLocalhost ? '127.0.0.1' : '[::]';
    const listenTextResolver = (address: string) =>
      `Server listening at ${address.replace(hidden, 'localhost')}`;
    await this.app.listen({ host: isLocalhost ? '127.0.0.1' : host, port, listenTextResolver });
    if (isLocalhost) this.#localhost = await listenOnIPv6(this.app.server);
  }

  announceClose(): void {
    for (const { reply } of this.app.openRequests.list()) if (reply) askToReconnect(reply.raw);
    subscribe('http.server.request.start', (message) =>
      askToReconnect((message as { response: ServerResponse }).response),
    );
  }

  async close(): Promise<void> {
    const { server } = this.app;
    const ended = once(server, 'close');
    await acceptWaiting(server);
    // The close() of http.Server would also end its time limits of requests.
    net.Server.prototype.close.call(server);
    this.#localhost?.close();
    this.app.stop();
    await this.#waitForRequests(ended);
    // app.close() runs preClose hooks, waits for all connections, then runs onClose hooks.
    await Promise.all([this.app.close(), this.#closeConnections(ended)]);
  }

  openRequests(): object[] {
    return this.app.openRequests.describe();
  }

  async #closeConnections(ended: Promise<unknown>): Promise<void> {
    const { openRequests, server } = this.app;
    await openRequests.waitUntilAnswered();
    await this.#waitForRequests(ended);
    await openRequests.waitUntilAnswered();
    server.closeAllConnections();
  }

  /** Without SHUTDOWN_DELAY_MS, as in development, there is no router to wait for. */
  async #waitForRequests(ended: Promise<unknown>): Promise<void> {
    const { SHUTDOWN_DELAY_MS: delayMs, SHUTDOWN_TIMEOUT_MS: timeoutMs } = this.app.config;
    const idleMs = Math.min(IDLE_MS, (timeoutMs - delayMs) * IDLE_SHARE);
    await Promise.race([ended, sleep(delayMs === 0 ? 0 : idleMs)]);
  }
}

/** The kernel resets the connections that wait when the port closes. So none should wait then. */
async function acceptWaiting(server: Server): Promise<void> {
  let quietTurns = 0;
  const note = () => {
    quietTurns = 0;
  };
  server.on('connection', note);
  // One turn may end before the event loop looks for connections.
  for (let turn = 0; turn < MAX_TURNS && quietTurns < 2; turn++) {
    quietTurns += 1;
    await setImmediate();
  }
  server.off('connection', note);
}

function askToReconnect(response: ServerResponse): void {
  if (!hasBegun(response)) response.setHeader('connection', 'close');
}

/** Fastify's own second server for `localhost` would lack what plugins added to the first. */
async function listenOnIPv6(server: Server): Promise<net.Server> {
  const { port } = server.address() as net.AddressInfo;
  const options = { allowHalfOpen: true, noDelay: true };
  const second = net.createServer(options, (socket) => void server.emit('connection', socket));
  await once(second.listen(port, '::1'), 'listening').catch((error) => {
    if (error.code === 'EADDRINUSE') throw error;
  });
  return second;
}
