import {
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { readAddress } from './client-address.ts';
import type { Caller } from './every-answer.ts';
import { hideSecrets } from './redaction.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks, also where the connection has ended: as the rate limit and the log name it. */
    clientAddress: string;
    /** What the request's line has beside its own fields, such as who asked. */
    logFields?: Record<string, string>;
  }
  interface FastifyReply {
    /** What a 5xx answer keeps from the client, for the log. */
    failure?: Error;
  }
}

/** What nginx logs for a request whose client did not wait: no status was sent. */
export const CLIENT_CLOSED_REQUEST = 499;

export const SWITCHING_PROTOCOLS = 101;

/** The most of a path that is logged, in characters. */
const MAX_PATH = 500;

/** One line for each request, when it is over, instead of Fastify's two. */
export class RequestLog extends LogController {
  constructor() {
    super({ requestIdLogLabel: 'requestId' });
  }

  override incomingRequest(request: FastifyRequest, reply: FastifyReply): void {
    request.clientAddress = readAddress(request);
    request.server.openRequests.begin(reply, () => logRequest(request, reply));
  }

  override requestCompleted(): void {}

  /** What fails while an answer is made belongs to the request's line. */
  override defaultErrorLog(error: Error, _request: FastifyRequest, reply: FastifyReply): void {
    reply.failure = error;
  }

  /** The status was sent already: another line says what broke, or that the client has gone. */
  override streamError(error: Error, request: FastifyRequest, reply: FastifyReply): void {
    // A late stream was answered with 503.
    if (reply.raw.writableEnded) return;
    const hasClientGone = reply.raw.destroyed;
    if (!hasClientGone) reply.failure = error;
    request.log[hasClientGone ? 'info' : 'error']({ err: error }, 'An answer broke off');
  }
}

function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  const line = {
    method: request.method,
    path: readPath(request.originalUrl),
    status: readStatus(reply),
    durationMs: Math.round(reply.elapsedTime * 10) / 10,
    address: request.clientAddress,
    ...request.logFields,
  };
  if (reply.failure && line.status >= 500)
    request.log.error({ ...line, err: reply.failure }, 'request failed');
  else request.log.info(line, 'request');
}

/** The library that upgrades a connection writes its 101 past the reply. */
export function readStatus(reply: FastifyReply): number {
  const { headers } = reply.request;
  if (reply.raw.headersSent) return reply.statusCode;
  return headers.upgrade && reply.sent ? SWITCHING_PROTOCOLS : CLIENT_CLOSED_REQUEST;
}

/** The line of what never became a request: its method and path are not known. */
export function logUnreadable(log: FastifyBaseLogger, caller: Caller, status: number): void {
  const line = { method: null, path: null, status, durationMs: 0, address: caller.clientAddress };
  log.info({ requestId: caller.id, ...line }, 'request');
}

/** The path without its query, which may carry secrets, and without the credentials of a URL. */
export function readPath(url: string): string {
  const end = url.indexOf('?');
  const path = url.slice(0, Math.min(end === -1 ? url.length : end, MAX_PATH));
  return path.includes('@') ? hideSecrets(path) : path;
}
