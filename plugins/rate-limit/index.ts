import createError from '@fastify/error';
import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';
import type { AnswerHeaders } from '../../src/every-answer.ts';
import { type Allowance, Counter, readNetworks } from './counter.ts';
import { createRedisCounter } from './redis-counter.ts';

export const settings = Type.Object({
  RATE_LIMIT_MAX: Type.Integer({
    minimum: 0,
    maximum: 1_000_000_000,
    default: 600,
    description: 'The most requests per minute from one client; 0 for no limit',
  }),
});

declare module '../env/index.ts' {
  interface Config extends Static<typeof settings> {}
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False if the route has no rate limit. */
    rateLimit?: false;
  }
}

const TooManyRequests = createError<[number]>(
  'TOO_MANY_REQUESTS',
  'Rate limit exceeded, retry in %d seconds.',
  429,
);

/**
 * Limits each client's requests: over all processes while Redis works, or else in each process.
 * @fastify/rate-limit limits nobody while Redis is down, and takes a tenth of a request's time.
 */
export default fp(
  async (app) => {
    const max = app.config.RATE_LIMIT_MAX;
    if (max === 0) return;
    const local = new Counter(max);
    let countShared: ReturnType<typeof createRedisCounter> | undefined;
    // All plugins are loaded now. The plugin of Redis may have been removed.
    app.addHook('onReady', async () => {
      const redis = Reflect.get(app, 'redis');
      if (redis) countShared = createRedisCounter(redis, max, local, app.log);
      else app.log.info('No Redis is attached: each process counts for the rate limit by itself');
    });
    app.decorate('countRequest', (caller, reply) => {
      if (caller.routeOptions.config.rateLimit === false) return undefined;
      const networks = readNetworks(caller.clientAddress);
      if (countShared)
        return countShared(networks).then((allowance) => limit(max, allowance, reply));
      limit(max, local.count(networks), reply);
      return undefined;
    });
  },
  { name: 'rate-limit' },
);

function limit(max: number, { remaining, resetMs }: Allowance, reply: AnswerHeaders): void {
  const seconds = Math.ceil(resetMs / 1_000);
  reply.header('ratelimit-limit', `${max}`);
  reply.header('ratelimit-remaining', `${Math.max(0, remaining)}`);
  reply.header('ratelimit-reset', `${seconds}`);
  if (remaining >= 0) return;
  reply.header('retry-after', `${seconds}`);
  throw new TooManyRequests(seconds);
}
