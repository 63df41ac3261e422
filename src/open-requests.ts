import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { readPath } from './request-log.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** What is being answered, WebSockets and other upgraded connections too. */
    openRequests: OpenRequests;
  }
}

export class OpenRequest {
  /** Its place in the list. */
  index: number;
  readonly request: Tracked;
  /** Not there when the connection was upgraded without Fastify. */
  reply: FastifyReply | undefined;
  isUpgraded = false;
  /** Whether REQUEST_TIMEOUT_MS has ended it. */
  isLate = false;
  /** By performance.now(), as the other times. */
  readonly startedAt = performance.now();
  /** When its client was last seen to read, or had nothing to read. */
  progressAt = this.startedAt;
  /** Bytes of its connection that have left the process. */
  sent = 0;
  /** Bytes of its answer that have not. */
  waiting = 0;
  /** Bytes that had come on its connection, and when that was first seen. */
  received = 0;
  receivedAt = this.startedAt;
  /** A large answer, kept until it is sent. */
  payload: string | Buffer = '';
  /** The bytes of that. */
  size = 0;
  /** What had been written to its connection before that. */
  sentBefore = 0;

  constructor(request: Tracked, index: number) {
    this.request = request;
    this.index = index;
  }
}

/** Where a request has its entry: to search the list would cost time where many are open. */
const ENTRY = Symbol('open request');

type Tracked = IncomingMessage & { [ENTRY]?: OpenRequest | undefined };

/**
 * The requests that are not answered to their end. Not in a Map: each table that it grows into
 * hangs on the one before, so that V8 would keep the requests of all of them until a full
 * collection.
 */
export class OpenRequests {
  readonly #open: OpenRequest[] = [];
  readonly #events = new EventEmitter();

  /**
   * Tracks a request from before its first hook until its answer is sent or its client has gone.
   *
   * @param onClose called then, once
   */
  begin(reply: FastifyReply, onClose: () => void): void {
    const { raw } = reply.request;
    const upgraded = this.get(raw);
    const entry = upgraded ?? this.#add(raw);
    entry.reply = reply;
    reply.raw.once('close', () => {
      onClose();
      if (!upgraded) this.#end(entry);
    });
  }

  /** Ends what a handler leaves open when it fails. */
  watchHandlers(app: FastifyInstance): void {
    app.addHook('onRoute', (route) => {
      const { handler } = route;
      route.handler = function (request, reply) {
        const result: unknown = handler.call(this, request, reply);
        // Nobody else would end the answer that a handler has hijacked before it failed.
        if (result instanceof Promise)
          result.catch(() => reply.sent && !reply.raw.writableEnded && reply.raw.destroy());
        return result;
      };
    });
  }

  /** Tracks connections that become WebSockets. Where nobody listens, Node answers as always. */
  trackUpgrades(server: Server): void {
    if (server.listenerCount('upgrade') === 0) return;
    server.prependListener('upgrade', (request, socket) => {
      const entry = this.#add(request);
      entry.isUpgraded = true;
      socket.once('close', () => this.#end(entry));
      // A plugin that closes takes its listener away.
      if (server.listenerCount('upgrade') === 1) socket.destroy();
    });
  }

  get(request: Tracked): OpenRequest | undefined {
    return request[ENTRY];
  }

  list(): OpenRequest[] {
    return [...this.#open];
  }

  /** Resolves when nothing is open. */
  async waitUntilAnswered(): Promise<void> {
    while (this.#open.length > 0) await once(this.#events, 'answered');
  }

  /** What is open, for the log. */
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

  /** The last one takes its place. */
  #end(entry: OpenRequest): void {
    const last = this.#open.pop() as OpenRequest;
    if (last !== entry) this.#open[entry.index] = last;
    last.index = entry.index;
    entry.request[ENTRY] = undefined;
    if (this.#open.length === 0) this.#events.emit('answered');
  }
}
