import { isIP } from 'node:net';
import { type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import { type DestinationStream, type Logger, pino } from 'pino';
import manifest from '../package.json' with { type: 'json' };

/**
 * Fields whose values (text, numbers, lists of text) never reach a log, however deep they are; `args` because ioredis
 * puts the command that failed into its error, AUTH with the password too. pino's own redaction knows paths alone, and
 * takes a tenth of the time of a request.
 */
const SECRET_FIELDS = ['authorization', 'cookie', 'set-cookie', 'password', 'secret', 'token', 'args'];
const TEXT = '"(?:[^"\\\\]|\\\\.)*"';
const SECRETS = new RegExp(`"(${SECRET_FIELDS.join('|')})":(?:${TEXT}|[\\w.+-]+|\\[(?:${TEXT},?)*\\])`, 'gi');

/** The user name and password in a URL, in whatever field or message of a line it stands. */
const URL_CREDENTIALS = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/"]*@/gi;

const stdout = pino.destination({ sync: true });

/** What is still to be written. */
let lines = '';

process.on('exit', flushLines);

/**
 * The lines of one turn of the event loop are one write, synchronous, so that none is lost at any exit: a write for
 * each would be a third of what a request costs.
 */
function writeLine(line: string): void {
  if (lines === '') setImmediate(flushLines);
  lines += line;
}

function flushLines(): void {
  if (lines === '') return;
  stdout.write(lines);
  lines = '';
}

/**
 * The logger of the whole process: JSON lines on stdout (twelve-factor XI), for Fastify and for what
 * runs before and after it.
 */
export function createLogger(destination: DestinationStream = { write: writeLine }): Logger {
  return pino(
    {
      base: { name: manifest.name, pid: process.pid },
      hooks: { streamWrite: hideSecrets },
    },
    destination,
  );
}

function hideSecrets(line: string): string {
  const hidden = line.replace(SECRETS, '"$1":"[Redacted]"');
  return hidden.includes('@') ? hidden.replace(URL_CREDENTIALS, '$1***@') : hidden;
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
