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
}

function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  const line = {
    method: request.method,
    path: readPath(request.url),
    status: reply.answered ? reply.statusCode : CLIENT_CLOSED_REQUEST,
    durationMs: Math.round(reply.elapsedTime * 10) / 10,
    address: readAddress(request),
    ...request.logFields,
  };
  if (reply.failure) request.log.error({ ...line, err: reply.failure }, 'request failed');
  else request.log.info(line, 'request');
}

/** The path without its query, which may carry secrets. */
export function readPath(url: string): string {
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}
