import { type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import { readAddress } from './client-address.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the request's line has beside its own fields, such as who asked. */
    logFields?: Record<string, string>;
  }
  interface FastifyReply {
    /** What a 5xx answer keeps from the client, for the log. */
    failure?: Error;
    /** Whether the answer was sent to its end. */
    answered?: boolean;
  }
}

/** What nginx logs for a request whose client did not wait for the answer: no status code was sent. */
const CLIENT_CLOSED_REQUEST = 499;

const SWITCHING_PROTOCOLS = 101;

/** One line for each request, when it is over, instead of Fastify's two. */
export class RequestLog extends LogController {
  constructor() {
    super({ requestIdLogLabel: 'requestId' });
  }

  override incomingRequest(request: FastifyRequest, reply: FastifyReply): void {
    reply.raw.once('close', () => logRequest(request, reply));
  }

  override requestCompleted(
    error: Error | null | undefined,
    _request: FastifyRequest,
    reply: FastifyReply,
  ): void {
    reply.answered = !error;
  }

  /** Fastify calls it when an answer breaks off after its headers: its source fails, or its client goes. */
  override streamError(err: Error, _request: FastifyRequest, reply: FastifyReply): void {
    reply.log.warn({ err }, 'An answer broke off');
  }
}

function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  const line = {
    method: request.method,
    path: readPath(request.url),
    status: readStatus(request, reply),
    durationMs: Math.round(reply.elapsedTime * 10) / 10,
    address: readAddress(request),
    ...request.logFields,
  };
  if (reply.failure) request.log.error({ ...line, err: reply.failure }, 'request failed');
  else request.log.info(line, 'request');
}

/** The library that upgrades a connection writes its 101 past the reply. */
function readStatus(request: FastifyRequest, reply: FastifyReply): number {
  if (reply.answered) return reply.statusCode;
  const isUpgraded = request.headers.upgrade && reply.sent && !reply.raw.headersSent;
  return isUpgraded ? SWITCHING_PROTOCOLS : CLIENT_CLOSED_REQUEST;
}

/** The path without its query, which may carry secrets. */
export function readPath(url: string): string {
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}
