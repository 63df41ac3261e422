import { isIP } from 'node:net';
import createError from '@fastify/error';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Redis } from 'ioredis';
import { type Static, Type } from 'typebox';
import manifest from '../package.json' with { type: 'json' };

/** How long Redis may take to answer, in milliseconds. It usually takes less than one. */
const ANSWER_TIMEOUT_MS = 500;

/** How long a connection must last before Redis is back, in milliseconds: it may never answer. */
const BACK_AFTER_MS = 2 * ANSWER_TIMEOUT_MS;

/** How long connecting may take, in milliseconds. A server without TLS never answers TLS. */
const CONNECT_TIMEOUT_MS = 2_000;

const Unavailable = createError('SERVICE_UNAVAILABLE', 'Redis is not available.', 503);

export const settings = Type.Object({
  REDIS_URL: Type.Optional(
    Type.String({
      format: 'uri',
      // ioredis takes other parameters as its own options, instead of those below.
      pattern: '^rediss?://([^/?#]*@)?[^@,/?#]+(/\\d*)?(\\?(db|family)=\\d+(&(db|family)=\\d+)*)?$',
      secret: true,
      description: 'The URL of Redis, which all processes share; not attached when not set',
      expected:
        'a redis:// or rediss:// URL of one server (no Cluster, no Sentinel), ' +
        'special characters percent-encoded, with no parameters but family and db',
      remedy:
        'On Heroku, run heroku addons:create heroku-redis:mini; ' +
        'leave REDIS_URL out to do without Redis',
    }),
  ),
  REDIS_TLS: Type.Optional(
    Type.Enum(['verify', 'no-verify'], {
      description: 'Whether the certificate of a rediss: URL is checked; verify when not set',
      remedy:
        'Set REDIS_TLS=no-verify for Heroku Key-Value Store, whose certificate is self-signed',
    }),
  ),
});

declare module './env/index.ts' {
  interface Config extends Static<typeof settings> {}
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined if no Redis is attached. A command rejects at once while Redis is down. */
    redis: Redis | undefined;
  }
}

/** The Redis of REDIS_URL as `app.redis`, if it is set. The start does not wait for Redis. */
export default fp(
  async (app) => {
    const { REDIS_URL, REDIS_TLS } = app.config;
    if (!REDIS_URL) return void app.decorate('redis', undefined);
    const { Redis } = await import('ioredis');
    const rejectUnauthorized = REDIS_TLS !== 'no-verify';
    const redis = new Redis(REDIS_URL, {
      // While Redis is down, a command fails at once instead of waiting in a queue.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      // If Redis stops answering, the connection is closed, and the waiting commands fail.
      socketTimeout: ANSWER_TIMEOUT_MS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      // The address may lead to the new primary by now.
      reconnectOnError: ({ message }) => message.startsWith('READONLY'),
      ...(REDIS_URL.startsWith('rediss:') && {
        tls: { rejectUnauthorized, servername: findServerName(REDIS_URL) },
      }),
    });
    app.decorate('redis', redis);
    app.answerErrors((error) => (isOutage(error) ? new Unavailable() : undefined));
    logOutages(redis, app);
    app.readiness.attach({
      name: 'redis',
      required: false,
      // A write, because a Redis that is full or a replica still answers PING.
      check: () => redis.set(`${manifest.name}:readiness`, '', 'PX', 1),
    });
  },
  { name: 'redis', dependencies: ['readiness', 'errors'] },
);

/** Redis' own codes while it cannot serve. Others, such as ERR, are mistakes of the app. */
const OUTAGE = /^(BUSY|LOADING|MASTERDOWN|MISCONF|NOAUTH|NOREPLICAS|OOM|READONLY|WRONGPASS) /;

/** What ioredis says without a connection. It has no codes. */
const NO_CONNECTION = /^(Stream isn't writeable|Command aborted|Connection is closed)/;

type CommandError = Error & { previousErrors?: Error[] };

/** Whether a command failed because Redis is down. A transaction's error has its commands' ones. */
function isOutage({ name, message, previousErrors }: CommandError): boolean {
  if (name === 'ReplyError') return OUTAGE.test(message) || Boolean(previousErrors?.some(isOutage));
  return name === 'MaxRetriesPerRequestError' || NO_CONNECTION.test(message);
}

/** The name that TLS asks for (SNI): several servers may share an address. An IP has no name. */
function findServerName(url: string): string {
  const { hostname } = new URL(url);
  return hostname.startsWith('[') || isIP(hostname) ? '' : hostname;
}

/** Logs when Redis goes down and when it is back. A closed idle connection is not an outage. */
function logOutages(redis: Redis, app: FastifyInstance): void {
  let isAway = false;
  let wasReady = false;
  let back: NodeJS.Timeout | undefined;
  const fail = (error: Error) => {
    clearTimeout(back);
    if (!isAway)
      app.log.warn({ err: explainTls(error) }, 'Redis is away: trying again until it answers');
    isAway = true;
  };
  redis.on('error', (error) => {
    fail(error);
    // ioredis would go on with database 0, which may be another app's.
    if (Reflect.get(error, 'command')?.name === 'select') redis.disconnect(true);
  });
  redis.on('close', () => {
    clearTimeout(back);
    if (!wasReady) fail(new Error('The connection was closed before Redis was ready'));
    wasReady = false;
  });
  redis.on('ready', () => {
    wasReady = true;
    if (!isAway) return;
    back = setTimeout(() => {
      app.log.info('Redis is back');
      isAway = false;
    }, BACK_AFTER_MS).unref();
  });
  app.addHook('onClose', async () => {
    // The app's own disconnect is not an outage.
    isAway = true;
    redis.disconnect();
  });
}

function explainTls(error: Error & { code?: string }): Error {
  if (!/CERT|^UNABLE_TO_VERIFY|^ERR_TLS|^ERR_SSL/.test(error.code ?? '')) return error;
  const remedy =
    'Set REDIS_TLS=no-verify to connect without a check of the certificate (Heroku needs that).';
  return new Error(`TLS to Redis failed: ${error.message}. ${remedy}`, { cause: error });
}
