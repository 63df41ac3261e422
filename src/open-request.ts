import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';

declare module 'node:http' {
  interface IncomingMessage {
    /** Set until it is answered. To search the list would be slow with many open requests. */
    openRequest?: OpenRequest | undefined;
  }
}

declare module 'node:net' {
  interface Socket {
    openRequestCount?: number;
    /** The last request of the connection, until it is answered. */
    lastRequest?: OpenRequest | undefined;
  }
}

/** Node reads from a connection in pieces of this many bytes. */
const READ_SIZE = 64 * 1024;

export const UNREAD = 'The client does not read its answer: it is cut off';

/** A request whose answer is not complete, or an upgraded connection. */
export class OpenRequest {
  index: number;
  readonly request: IncomingMessage;
  /** Kept, because Node sets `request.socket` to null when it destroys an unread request. */
  readonly socket: Socket;
  #previous: OpenRequest | undefined;
  /** Undefined if the connection was upgraded without Fastify. */
  reply: FastifyReply | undefined;
  isUpgraded = false;
  /** True when the handler has begun: then only bytes of the body that it has not read count. */
  isHandled = false;
  /** True as soon as the answer is in its onSend hooks. */
  isAnswering = false;
  isLate = false;
  /** By performance.now(), like the other times. */
  readonly startedAt = performance.now();
  /** From when the app's time-out counts: Infinity while earlier requests are not answered. */
  turnAt = this.startedAt;
  /** When the client last read something, or had nothing to read. */
  progressAt = this.startedAt;
  sent = 0;
  /** Bytes of the answer that are not sent yet. */
  waiting = 0;
  /** A lower bound of the bytes received before this request, which is in the last piece. */
  readonly receivedBefore: number;
  received = 0;
  receivedAt = this.startedAt;
  /** A large answer, kept until it is sent, and its bytes. */
  payload: string | Buffer = '';
  size = 0;
  sentBefore = 0;

  constructor(request: IncomingMessage, index: number) {
    this.request = request;
    this.index = index;
    request.openRequest = this;
    this.socket = request.socket;
    this.receivedBefore = Math.max(0, this.socket.bytesRead - READ_SIZE);
    this.socket.openRequestCount = (this.socket.openRequestCount ?? 0) + 1;
    this.#previous = this.socket.lastRequest;
    this.socket.lastRequest = this;
  }

  /** Returns the request to wait for and forgets it: it holds its body, and those before it. */
  takePrevious(): OpenRequest | undefined {
    const previous = this.#previous;
    this.#previous = undefined;
    return previous;
  }

  end(): void {
    this.socket.openRequestCount! -= 1;
    this.#previous = undefined;
    if (this.socket.lastRequest === this) this.socket.lastRequest = undefined;
    // The log asks later whether a connection was upgraded.
    if (!this.isUpgraded) this.request.openRequest = undefined;
  }
}

/** Frees the memory now, because a connection closes only after this turn of the event loop. */
export function cutOff(entries: OpenRequest[], reason = UNREAD): void {
  for (const entry of entries) {
    const { socket } = entry;
    if (!socket.destroyed) entry.reply?.log.warn(reason);
    socket.destroy();
    Object.assign(entry, { payload: '', waiting: 0 });
  }
}
