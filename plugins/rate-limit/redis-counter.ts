import type { FastifyBaseLogger as Log } from 'fastify';
import type { Redis } from 'ioredis';
import manifest from '../../package.json' with { type: 'json' };
import { type Allowance, type Counter, WINDOW_MS } from './counter.ts';
import type { Network } from './networks.ts';

/** Redis is back after this time without a failure, in milliseconds: it may fail now and then. */
const BACK_AFTER_MS = 1_000;

/**
 * Counts in Redis for all processes. If Redis fails, counts in `local`. A client has `max` requests
 * in a window.
 */
export function createRedisCounter(redis: Redis, max: number, local: Counter, log: Log) {
  let failedAt: number | undefined;
  const fail = (error: Error & { previousErrors?: Error[] }) => {
    // The error of a transaction does not say why. The error of its command does.
    const err = error.previousErrors?.[0] ?? error;
    if (failedAt === undefined)
      log.warn({ err }, 'The rate limit is counted in each process: Redis fails');
    failedAt = performance.now();
  };
  const recover = () => {
    if (failedAt === undefined || performance.now() - failedAt < BACK_AFTER_MS) return;
    log.info('The rate limit is counted in Redis again');
    failedAt = undefined;
  };
  return async (networks: Network[]): Promise<Allowance> => {
    try {
      const allowance = await countInRedis(redis, max, networks);
      recover();
      return allowance;
    } catch (error) {
      fail(error as Error);
      return local.count(networks);
    }
  };
}

async function countInRedis(redis: Redis, max: number, networks: Network[]): Promise<Allowance> {
  const names = networks.map(({ name }) => `${manifest.name}:rate-limit:${name}`);
  const transaction = redis.multi();
  for (const name of names) transaction.set(name, 0, 'PX', WINDOW_MS, 'NX').incr(name).pttl(name);
  const values = ((await transaction.exec()) ?? []).map(([, value]) => value as number);
  const counts = networks.map((_network, at) => values[3 * at + 1]!);
  const times = networks.map((_network, at) => values[3 * at + 2]!);
  if (!counts.every(isCount) || !times.every((time) => isCount(time) && time <= WINDOW_MS)) {
    // Another program wrote to these keys: delete them, so that the next request counts from 0.
    redis.del(...names).catch(() => undefined);
    throw new Error(`Redis has no counter under ${names.join(' and ')}`);
  }
  const left = networks.map(({ share }, at) => max * share - counts[at]!);
  return { remaining: Math.min(...left), resetMs: times[0]! };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0;
}
