import type { FastifyBaseLogger as Log } from 'fastify';
import type { Redis } from 'ioredis';
import manifest from '../../package.json' with { type: 'json' };
import { type Allowance, type Counter, type Network, WINDOW_MS } from './counter.ts';

const ANSWER_TIMEOUT_MS = 500;

/** Redis is back after this time without a failure, in milliseconds: it may fail now and then. */
const BACK_AFTER_MS = 1_000;

/** Counts in Redis for all processes, or in `local` for this one: `max` a client and window. */
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
      const sentAt = performance.now();
      const counting = networks.map((network) => countInRedis(redis, max, network));
      const allowances = await Promise.all(counting);
      refuseLate(redis, sentAt);
      recover();
      return allowances.reduce(pickStricter);
    } catch (error) {
      fail(error as Error);
      return local.count(networks);
    }
  };
}

/** Connects again, so that the commands that wait behind a late answer fail at once. */
function refuseLate(redis: Redis, sentAt: number): void {
  const tookMs = Math.round(performance.now() - sentAt);
  if (tookMs <= ANSWER_TIMEOUT_MS) return;
  redis.disconnect(true);
  throw new Error(`Redis took ${tookMs} ms to answer`);
}

async function countInRedis(redis: Redis, max: number, { name, share }: Network) {
  const key = `${manifest.name}:rate-limit:${name}`;
  const answers = await redis.multi().set(key, 0, 'PX', WINDOW_MS, 'NX').incr(key).pttl(key).exec();
  const [, count, resetMs] = (answers ?? []).map(([, value]) => value);
  if (isCount(count) && isCount(resetMs) && resetMs <= WINDOW_MS)
    return { remaining: max * share - count, resetMs };
  // Another program wrote to this key: delete it, so that the next request counts from 0.
  redis.del(key).catch(() => undefined);
  throw new Error(`Redis has no counter under ${key}`);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0;
}

/** The allowance that counts: of two exceeded limits, the one that is exceeded for longer. */
function pickStricter(one: Allowance, other: Allowance): Allowance {
  if (one.remaining < 0 && other.remaining < 0) return one.resetMs > other.resetMs ? one : other;
  return one.remaining < other.remaining ? one : other;
}
