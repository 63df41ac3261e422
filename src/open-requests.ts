import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { readPath } from './request-log.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** The requests that are being answered, and upgraded connections such as WebSockets. */
    openRequests: OpenRequests;
  }
}

export class OpenRequest {
  index: number;
  readonly request: Tracked;
  /** Undefined if the connection was upgraded without Fastify. */
  reply: FastifyReply | undefined;
  isUpgraded = false;
  /** True if the request was ended by REQUEST_TIMEOUT_MS. */
  isLate = false;
  /** By performance.now(), like the other times. */
  readonly startedAt = performance.now();
  /** When the client last read something, or had nothing to read. */
  progressAt = this.startedAt;
  /** Bytes sent on the connection. */
  sent = 0;
  /** Bytes of the answer that are not sent yet. */
  waiting = 0;
  /** Bytes received on the connection, and when this number last changed. */
  received = 0;
  receivedAt = this.startedAt;
  /** A large answer, kept until it is sent, and its bytes. */
  payload: string | Buffer = '';
  size = 0;
  /** Bytes written to the connection before the payload. */
  sentBefore = 0;

  constructor(request: Tracked, index: number) {
    this.request = request;
    this.index = index;
  }
}

/** The key of a request's entry. To search the list would be slow with many open requests. */
const ENTRY = Symbol('open request');

type Tracked = IncomingMessage & { [ENTRY]?: OpenRequest | undefined };

export function findOpenRequest(request: Tracked): OpenRequest | undefined {
  return request[ENTRY];
}

/**
 * The requests whose answers are not complete. They are in an array, not in a Map: a Map that grows
 * links its old tables, so that V8 keeps their requests until a full garbage collection.
 */
export class OpenRequests {
  /** A maximum of the bytes of unread answers at the last count, and the bytes sent since. */
  heldBefore = 0;
  sentSince = 0;
  readonly #open: OpenRequest[] = [];
  readonly #events = new EventEmitter();

  /** Tracks a request until its answer is sent or its client has gone, then calls `onClose`. */
  begin(reply: FastifyReply, onClose: () => void): void {
    const { raw } = reply.request;
    const upgraded = findOpenRequest(raw);
    const entry = upgraded ?? this.#add(raw);
    entry.reply = reply;
    reply.raw.once('close', () => {
      onClose();
      if (!upgraded) this.#end(entry);
    });
  }

  /** Ends an answer that a handler hijacked before it failed: nothing else would. */
  watchHandlers(app: FastifyInstance): void {
    app.addHook('onRoute', (route) => {
      const { handler } = route;
      route.handler = function (request, reply) {
        const result: unknown = handler.call(this, request, reply);
        if (result instanceof Promise)
          result.catch(() => reply.sent && !reply.raw.writableEnded && reply.raw.destroy());
        return result;
      };
    });
  }

  /** Tracks connections that become WebSockets. Without a plugin for them, Node answers. */
  trackUpgrades(server: Server): void {
    if (server.listenerCount('upgrade') === 0) return;
    server.prependListener('upgrade', (request, socket) => {
      const entry = this.#add(request);
      entry.isUpgraded = true;
      socket.once('close', () => this.#end(entry));
      // The plugin has closed and removed its listener.
      if (server.listenerCount('upgrade') === 1) socket.destroy();
    });
  }

  list(): OpenRequest[] {
    return [...this.#open];
  }

  async waitUntilAnswered(): Promise<void> {
    while (this.#open.length > 0) await once(this.#events, 'answered');
  }

  describe(): object[] {
    return this.list().map(({ request, isUpgraded, startedAt }) => ({
      method: request.method,
      path: readPath(request.url as string),
      ...(isUpgraded && { upgrade: request.headers.upgrade }),
      ageMs: Math.round(performance.now() - startedAt),
    }));
  }

  #add(request: Tracked): OpenRequest {
    const entry = new OpenRequest(request, this.#open.length);
    this.#open.push(entry);
    request[ENTRY] = entry;
    return entry;
  }

  /** Removes an entry: the last entry of the array takes its place. */
  #end(entry: OpenRequest): void {
    const last = this.#open.pop() as OpenRequest;
    if (last !== entry) this.#open[entry.index] = last;
    last.index = entry.index;
    entry.request[ENTRY] = undefined;
    if (this.#open.length === 0) this.#events.emit('answered');
  }
}
