import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { countAnswer } from './held-memory.ts';
import { hasBegun, http } from './node-http.ts';
import type { OpenRequest } from './open-request.ts';

/** Larger answers are sent in pieces of this many bytes, to see how far the client has read. */
const PIECE = 64 * 1024;

/** Sends a large answer in pieces. An onSend hook cannot: the other hooks need the whole answer. */
export class PiecewiseResponse<
  Request extends IncomingMessage = IncomingMessage,
> extends http.ServerResponse<Request> {
  /** True once `end` is called, although the pieces are sent later. */
  // @ts-expect-error: it is a getter in Node too, but its type says it is a field.
  override get writableEnded(): boolean {
    return this.finished || Boolean(this.req.openRequest?.payload);
  }

  /** Ignored after `end`: if an onSend hook takes too long, another answer was sent meanwhile. */
  override writeHead(...args: unknown[]): this {
    return this.writableEnded ? this : super.writeHead(...(args as [number]));
  }

  override end(...args: unknown[]): this {
    const [payload, ...others] = args;
    const entry = this.req.openRequest;
    if (this.finished || entry?.payload) return this;
    const isWhole = typeof payload === 'string' || Buffer.isBuffer(payload);
    if (!entry?.reply || !isWhole) return super.end(...(args as []));
    const size = Buffer.byteLength(payload);
    // Without headers, Node computes Content-Length from the whole text.
    const isLarge = payload.length > PIECE && hasBegun(this) && !others.some(Boolean);
    if (isLarge) Object.assign(entry, { payload, size, sentBefore: entry.socket.bytesWritten });
    countAnswer(entry.reply.server.openRequests, size, isLarge);
    return isLarge ? this.sendPieces(entry) : super.end(...(args as []));
  }

  /** Ignores data after `end`: it would be sent between two pieces. */
  override write(...args: unknown[]): boolean {
    if (this.req.openRequest?.payload) return false;
    // A stream's chunk may be neither text nor bytes.
    return this.#attempt(() => super.write(...(args as [unknown]))) ?? false;
  }

  override addTrailers(trailers: OutgoingHttpHeaders): void {
    this.#attempt(() => super.addTrailers(trailers));
  }

  /** Answers with an error of `send`: Fastify would end the process, or log nothing. */
  #attempt<Result>(send: () => Result): Result | undefined {
    try {
      return send();
    } catch (error) {
      const reply = this.req.openRequest?.reply;
      // A handler that hijacked the answer gets the error itself.
      if (!reply || reply.sent) throw error;
      reply.send(error);
      return undefined;
    }
  }

  protected sendPieces(entry: OpenRequest, start = 0): this {
    for (let sent = start; sent < entry.payload.length; ) {
      const piece = cutPiece(entry.payload, sent);
      sent += piece.length;
      if (!super.write(piece)) return this.once('drain', () => this.sendPieces(entry, sent));
    }
    entry.payload = '';
    return super.end();
  }
}

/** Strings are cut as strings: a copy as a Buffer would stay in memory for a while. */
function cutPiece(payload: string | Buffer, start: number): string | Buffer {
  const end = start + PIECE;
  if (typeof payload !== 'string') return payload.subarray(start, end);
  // A pair of code units that is one character must not be cut in two.
  return payload.slice(start, payload.codePointAt(end - 1)! > 0xffff ? end + 1 : end);
}
