import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';

/** The key of a request's entry. To search the list would be slow with many open requests. */
const ENTRY = Symbol('open request');

/** The key of a connection's number of open requests. */
const COUNT = Symbol('open requests');

/**
 * The most open requests of one connection. Node reads a client's next requests while the earlier
 * ones wait, without a limit. Up to 2,500 short requests can arrive in one piece.
 */
const MAX_OPEN = 5_000;

/** Node reads from a connection in pieces of this many bytes. */
const PIECE = 64 * 1024;

/** The key of a connection's last request, until it is answered. */
const LAST = Symbol('last request');

type Connection = Socket & { [COUNT]?: number; [LAST]?: OpenRequest | undefined };

type Tracked = IncomingMessage & { [ENTRY]?: OpenRequest | undefined; socket: Connection };

export function findOpenRequest(request: Tracked): OpenRequest | undefined {
  return request[ENTRY];
}

export function hasOpenRequests(connection: Connection): boolean {
  return Boolean(connection[COUNT]);
}

/** Notes how far a request has come. A handler of WebSockets gets no request first. */
export function noteStage(request: Tracked | undefined, stage: 'isHandled' | 'isAnswering'): void {
  const entry = request?.[ENTRY];
  if (entry) entry[stage] = true;
}

/** A request whose answer is not complete, or an upgraded connection. */
export class OpenRequest {
  index: number;
  readonly request: Tracked;
  /** Kept, because Node sets `request.socket` to null when it destroys an unread request. */
  readonly socket: Connection;
  /** The request before this one on its connection, if that was open when this one came. */
  #last: OpenRequest | undefined;
  /** Undefined if the connection was upgraded without Fastify. */
  reply: FastifyReply | undefined;
  isUpgraded = false;
  /** True as soon as the handler runs. What it reads of the body, it keeps or not. */
  isHandled = false;
  /** True as soon as the answer is in its onSend hooks. */
  isAnswering = false;
  /** True if the request was ended by REQUEST_TIMEOUT_MS. */
  isLate = false;
  /** By performance.now(), like the other times. */
  readonly startedAt = performance.now();
  /** From when the app's time-out counts: Infinity while earlier requests are not answered. */
  turnAt = this.startedAt;
  /** When the client last read something, or had nothing to read. */
  progressAt = this.startedAt;
  /** Bytes sent on the connection. */
  sent = 0;
  /** Bytes of the answer that are not sent yet. */
  waiting = 0;
  /** Bytes received on the connection before this request, which came in a piece of 64 KiB. */
  readonly receivedBefore: number;
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
    request[ENTRY] = this;
    this.socket = request.socket;
    this.receivedBefore = Math.max(0, this.socket.bytesRead - PIECE);
    this.socket[COUNT] = (this.socket[COUNT] ?? 0) + 1;
    this.#last = this.socket[LAST];
    this.socket[LAST] = this;
  }

  /** True if the connection has more open requests than any client needs. */
  get isExcess(): boolean {
    return this.socket[COUNT]! > MAX_OPEN;
  }

  /** Gives the request to wait for. To keep it would keep its body, and all requests before it. */
  takeLast(): OpenRequest | undefined {
    const last = this.#last;
    this.#last = undefined;
    return last;
  }

  end(): void {
    this.socket[COUNT]! -= 1;
    this.#last = undefined;
    if (this.socket[LAST] === this) this.socket[LAST] = undefined;
    // The log asks later whether a connection was upgraded.
    if (!this.isUpgraded) this.request[ENTRY] = undefined;
  }
}
