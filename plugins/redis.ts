import fp from 'fastify-plugin';
import type { Redis } from 'ioredis';
import { type Static, Type } from 'typebox';
import manifest from '../package.json' with { type: 'json' };

/**
 * How long Redis may take to answer, in milliseconds, before it counts as away. It answers within
 * one.
 */
const ANSWER_TIMEOUT_MS = 250;

/**
 * How long a connection may take, in milliseconds: a server without TLS says nothing to one with
 * it.
 */
const CONNECT_TIMEOUT_MS = 2_000;

export const settings = Type.Object({
  REDIS_URL: Type.Optional(
    Type.String({
      format: 'uri',
      pattern: '^rediss?://.',
      secret: true,
      description:
        'Redis, which makes the rate limit one over all processes; not attached where unset',
      expected: 'a redis:// or rediss:// URL, special characters percent-encoded',
      remedy:
        'On Heroku, run heroku addons:create heroku-redis:mini; leave REDIS_URL out to do without Redis',
    }),
  ),
  REDIS_TLS: Type.Optional(
    Type.Enum(['verify', 'no-verify'], {
      description:
        'With or without a check of the certificate, for rediss: URLs; verify where unset',
      remedy:
        'Set REDIS_TLS=no-verify for Heroku Key-Value Store, whose certificate is self-signed',
    }),
  ),
});

type RedisSettings = Static<typeof settings>;

declare module './env/index.ts' {
  interface Config extends RedisSettings {}
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined where no Redis is attached. A command rejects at once while Redis is away. */
    redis: Redis | undefined;
  }
}

/**
 * The Redis behind REDIS_URL as `app.redis`, where there is one. It is optional: nobody waits for
 * it.
 */
export default fp(
  async (app) => {
    const { REDIS_URL, REDIS_TLS } = app.config;
    const redis = REDIS_URL ? await connect(REDIS_URL, REDIS_TLS) : undefined;
    app.decorate('redis', redis);
    if (!redis) return;

    let failure: Error | undefined;
    let isReady = false;
    const fail = (err: Error) => {
      if (!failure)
        app.log.warn({ err: explainTls(err) }, 'Redis is away: it is asked again until it answers');
      failure = explainTls(err);
    };
    redis.on('error', fail);
    redis.on('close', () => {
      // Heroku closes idle connections, which is no failure; a connection that never was ready is
      // one.
      if (!isReady) fail(new Error('The connection was closed before Redis was ready'));
      isReady = false;
    });
    redis.on('ready', () => {
      if (failure) app.log.info('Redis is back');
      failure = undefined;
      isReady = true;
    });
    app.readiness.attach({
      name: 'redis',
      required: false,
      // A Redis that is full or a replica answers PING, and refuses to write.
      check: () =>
        failure ? Promise.reject(failure) : redis.set(`${manifest.name}:readiness`, '', 'PX', 1),
    });
    app.addHook('onClose', async () => redis.disconnect());
  },
  { name: 'redis', dependencies: ['readiness'] },
);

async function connect(url: string, tls: RedisSettings['REDIS_TLS']): Promise<Redis> {
  const { Redis } = await import('ioredis');
  return new Redis(url, {
    // While Redis is away, a command fails at once instead of waiting for it in a queue.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    // A Redis that stands still is as good as away: the connection is given up, and what waits for
    // it with it.
    socketTimeout: ANSWER_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    ...(url.startsWith('rediss:') && { tls: { rejectUnauthorized: tls !== 'no-verify' } }),
  });
}

/** An error of connecting, with what to do about a certificate that was refused. */
function explainTls(error: Error & { code?: string }): Error {
  if (!/CERT|^UNABLE_TO_VERIFY|^ERR_TLS|^ERR_SSL/.test(error.code ?? '')) return error;
  const remedy =
    'Set REDIS_TLS=no-verify to connect without a check of the certificate (Heroku needs that).';
  return new Error(`TLS to Redis failed: ${error.message}. ${remedy}`, { cause: error });
}
