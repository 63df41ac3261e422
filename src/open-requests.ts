import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import { cutOff, OpenRequest } from './open-request.ts';
import { readPath } from './request-log.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** The requests that are not answered yet, and upgraded connections such as WebSockets. */
    openRequests: OpenRequests;
  }
}

/** The most open requests of one connection. Up to 2,500 short ones can arrive in one piece. */
const MAX_OPEN = 5_000;

const EXCESS = 'The client has too many open requests on one connection: it is cut off';
const PIPELINED = 'The client sent CONNECT or Upgrade before it had its answers: it is cut off';

/** The requests that are not answered yet. A Map that grows would keep removed ones in memory. */
export class OpenRequests {
  /** An upper bound of the bytes of unread answers at the last count, and the bytes sent since. */
  heldBefore = 0;
  sentSince = 0;
  receivedSince = 0;
  readonly #open: OpenRequest[] = [];
  readonly #events = new EventEmitter();

  /** Tracks a request until its answer is sent or its client has gone, then calls `onClose`. */
  track(reply: FastifyReply, onClose: () => void): void {
    const { raw } = reply.request;
    // It was upgraded, or a handler has passed it to the router again.
    const known = raw.openRequest;
    const entry = known ?? this.#add(raw);
    // Plugins add listeners too, and more than ten are no leak here.
    reply.raw.setMaxListeners(0);
    entry.reply = reply;
    if (entry.socket.openRequestCount! > MAX_OPEN) cutOff([entry], EXCESS);
    reply.raw.once('close', () => {
      onClose();
      if (!known) this.#end(entry);
    });
    // If Fastify answers an upgrade, it refuses it.
    if (entry.isUpgraded) reply.raw.once('finish', () => entry.socket.destroySoon());
  }

  /** Tells Node whether a plugin takes an Upgrade. If not, Node ignores it (RFC 9110, 7.8). */
  acceptUpgrade(server: Server, request: IncomingMessage): boolean {
    const { method, headers, socket } = request;
    const isWebSocket = method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket';
    if (!isWebSocket || server.listenerCount('upgrade') === 0) return false;
    this.takeOver(socket);
    const entry = this.#add(request);
    entry.isUpgraded = true;
    socket.once('close', () => this.#end(entry));
    return true;
  }

  /** Call this first at CONNECT and Upgrade: Node has removed the listeners, even for errors. */
  takeOver(socket: Socket): void {
    socket.on('error', () => undefined);
    if (!socket.openRequestCount) return;
    const open = this.#open.filter((entry) => entry.socket === socket);
    cutOff(open, PIPELINED);
    for (const { request, reply } of open) {
      request.destroy();
      reply?.raw.destroy();
    }
  }

  list(): OpenRequest[] {
    return [...this.#open];
  }

  async waitUntilAnswered(): Promise<void> {
    while (this.#open.length > 0) await once(this.#events, 'answered');
  }

  describe(): object[] {
    return this.#open.map(({ request, isUpgraded, startedAt }) => ({
      method: request.method,
      path: readPath(request.url as string),
      ...(isUpgraded && { upgrade: request.headers.upgrade }),
      ageMs: Math.round(performance.now() - startedAt),
    }));
  }

  #add(request: IncomingMessage): OpenRequest {
    const entry = new OpenRequest(request, this.#open.length);
    this.#open.push(entry);
    return entry;
  }

  #end(entry: OpenRequest): void {
    const last = this.#open.pop() as OpenRequest;
    if (last !== entry) this.#open[entry.index] = last;
    last.index = entry.index;
    entry.end();
    if (this.#open.length === 0) this.#events.emit('answered');
  }
}
