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

export interface OpenRequest {
  request: IncomingMessage;
  /** Not there when the connection was upgraded without Fastify. */
  reply: FastifyReply | undefined;
  isUpgraded: boolean;
  /** Whether REQUEST_TIMEOUT_MS has ended it. */
  isLate: boolean;
  /** By performance.now(), as the other time. */
  startedAt: number;
  /** When its client was last seen to read, or had nothing to read. */
  progressAt: number;
  /** Bytes of its connection that have left the process. */
  sent: number;
  /** Bytes of its answer that have not. */
  waiting: number;
  /** A large answer, kept until it is sent. */
  payload: string | Buffer;
  /** The bytes of that. */
  size: number;
  /** `sent` when that began. */
  sentBefore: number;
}

/** The requests that are not answered to their end, in the order in which they came. */
export class OpenRequests {
  readonly #open = new Map<IncomingMessage, OpenRequest>();
  readonly #events = new EventEmitter();

  /**
   * Tracks a request from before its first hook until its answer is sent or its client has gone.
   *
   * @param onClose called then, once
   */
  begin(reply: FastifyReply, onClose: () => void): void {
    const { raw } = reply.request;
    const entry = this.#open.get(raw) ?? this.#add(raw);
    entry.reply = reply;
    reply.raw.on('close', () => {
      onClose();
      if (!entry.isUpgraded) this.#end(raw);
    });
  }

  /** Ends what a handler leaves open when it fails. */
  watchHandlers(app: FastifyInstance): void {
    app.addHook('onRoute', (route) => {
      const { handler } = route;
      route.handler = function (request, reply) {
        const result: unknown = handler.call(this, request, reply);
        // Nobody else would end the answer that a handler has hijacked before it failed.
        if (reply.sent && result instanceof Promise) result.catch(() => reply.raw.destroy());
        return result;
      };
    });
  }

  /** Tracks connections that become WebSockets. Where nobody listens, Node answers as always. */
  trackUpgrades(server: Server): void {
    if (server.listenerCount('upgrade') === 0) return;
    server.prependListener('upgrade', (request, socket) => {
      this.#add(request).isUpgraded = true;
      socket.once('close', () => this.#end(request));
      // A plugin that closes takes its listener away.
      if (server.listenerCount('upgrade') === 1) socket.destroy();
    });
  }

  get(request: IncomingMessage): OpenRequest | undefined {
    return this.#open.get(request);
  }

  list(): OpenRequest[] {
    return [...this.#open.values()];
  }

  /** Resolves when nothing is open. */
  async waitUntilAnswered(): Promise<void> {
    while (this.#open.size > 0) await once(this.#events, 'answered');
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

  #add(request: IncomingMessage): OpenRequest {
    const now = performance.now();
    const entry: OpenRequest = {
      request,
      reply: undefined,
      isUpgraded: false,
      isLate: false,
      startedAt: now,
      progressAt: now,
      sent: 0,
      waiting: 0,
      payload: '',
      size: 0,
      sentBefore: 0,
    };
    this.#open.set(request, entry);
    return entry;
  }

  #end(request: IncomingMessage): void {
    this.#open.delete(request);
    if (this.#open.size === 0) this.#events.emit('answered');
  }
}
