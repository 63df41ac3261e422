import { type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import { readAddress } from './client-address.ts';
import { toError } from './error-log.ts';
import { interrupt } from './failed-answers.ts';
import { hasBegun } from './node-http.ts';
import { hideSecrets } from './redaction.ts';

/** The status that nginx logs if the client closed the connection before the answer. */
export const CLIENT_CLOSED = 499;

export const SWITCHING_PROTOCOLS = 101;

const MAX_PATH = 500;

/** Logs one line for each request, at its end, instead of Fastify's two. */
export class RequestLog extends LogController {
  override incomingRequest(request: FastifyRequest, reply: FastifyReply): void {
    request.clientAddress = readAddress(request);
    request.server.openRequests.track(reply, () => logRequest(request, reply));
  }

  override requestCompleted(error: unknown, request: FastifyRequest): void {
    if (error) request.log.error({ err: toError(error) }, 'A request failed after its answer');
  }

  /** The error is logged in the request's own line. */
  override defaultErrorLog(error: Error, _request: FastifyRequest, reply: FastifyReply): void {
    reply.failure = toError(error);
  }

  override streamError(error: Error, _request: FastifyRequest, reply: FastifyReply): void {
    interrupt(reply, error);
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
    request.log.error({ ...line, err: toError(reply.failure) }, 'request failed');
  else request.log.info(line, 'request');
}

/** A library that upgrades a connection sends its 101 itself, so the reply has no status. */
export function readStatus(reply: FastifyReply): number {
  if (hasBegun(reply.raw)) return reply.statusCode;
  const isUpgraded = reply.sent && reply.request.raw.openRequest?.isUpgraded;
  return isUpgraded ? SWITCHING_PROTOCOLS : CLIENT_CLOSED;
}

/** The path without query and without credentials, because both may be secret. */
export function readPath(url: string): string {
  const end = url.indexOf('?');
  const path = url.slice(0, Math.min(end === -1 ? url.length : end, MAX_PATH));
  return path.includes('@') ? hideSecrets(path) : path;
}
