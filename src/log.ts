import { isIP } from 'node:net';
import { type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import { type DestinationStream, type Logger, pino } from 'pino';
import manifest from '../package.json' with { type: 'json' };

/** Fields that never reach a log, at the top of a logged object or one level down. */
const REDACTED = ['authorization', 'cookie', 'set-cookie', 'password', 'secret', 'token'];

/** ioredis puts the command that failed into its error, AUTH with the password too. */
const COMMAND = 'err.command.args';

/** The user name and password in a URL, in whatever field or message of a line it stands. */
const URL_CREDENTIALS = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/"]*@/gi;

/**
 * The logger of the whole process: JSON lines on stdout (twelve-factor XI), for Fastify and for what
 * runs before and after it. It writes synchronously, so that no line is lost at any exit.
 */
export function createLogger(destination: DestinationStream = pino.destination({ sync: true })): Logger {
  return pino(
    {
      base: { name: manifest.name, pid: process.pid },
      redact: [...REDACTED.flatMap((field) => [`["${field}"]`, `*["${field}"]`]), COMMAND],
      hooks: {
        streamWrite: (line) => (line.includes('@') ? line.replace(URL_CREDENTIALS, '$1***@') : line),
      },
    },
    destination,
  );
}

declare module 'fastify' {
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

  override requestCompleted(error: Error | null | undefined, _request: FastifyRequest, reply: FastifyReply): void {
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
  };
  if (reply.failure) request.log.error({ ...line, err: reply.failure }, 'request failed');
  else request.log.info(line, 'request');
}

/** The path without its query, which may carry secrets. */
export function readPath(url: string): string {
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}

/**
 * The client's address as the trusted proxies tell it, or that of the peer where they tell none: what a client writes
 * into X-Forwarded-For need not be one. A socket of both families has IPv4's as an IPv6 address (RFC 4291, 2.5.5.2).
 */
export function readAddress({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  const address = isIP(ip) ? ip : (socket.remoteAddress ?? '');
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}
