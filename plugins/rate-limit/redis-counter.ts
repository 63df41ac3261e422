import type { FastifyBaseLogger } from 'fastify';
import type { Redis } from 'ioredis';
import manifest from '../../package.json' with { type: 'json' };
import { type Allowance, type Counter, WINDOW_MS } from './counter.ts';
import type { Network } from './networks.ts';

/**
 * How long Redis has to count again before it counts as back, in milliseconds: it may fail every
 * second time.
 */
const BACK_AFTER_MS = 1_000;

/** Counts in Redis, for all processes, and in this one for as long as Redis does not. */
export class RedisCounter {
  readonly #redis: Redis;
  readonly #max: number;
  readonly #local: Counter;
  readonly #log: FastifyBaseLogger;
  #failedAt: number | undefined;

  constructor(redis: Redis, max: number, local: Counter, log: FastifyBaseLogger) {
    this.#redis = redis;
    this.#max = max;
    this.#local = local;
    this.#log = log;
  }

  async count(networks: Network[]): Promise<Allowance> {
    try {
      const allowance = await this.#ask(networks);
      this.#recover();
      return allowance;
    } catch (error) {
      this.#fail(error as Error);
      return this.#local.count(networks);
    }
  }

  async #ask(networks: Network[]): Promise<Allowance> {
    const names = networks.map(({ name }) => `${manifest.name}:rate-limit:${name}`);
    const transaction = this.#redis.multi();
    for (const name of names) transaction.set(name, 0, 'PX', WINDOW_MS, 'NX').incr(name).pttl(name);
    const values = ((await transaction.exec()) ?? []).map(([, value]) => value as number);
    const counts = networks.map((_network, at) => values[3 * at + 1]!);
    const times = networks.map((_network, at) => values[3 * at + 2]!);
    if (!counts.every(isCount) || !times.every((time) => isCount(time) && time <= WINDOW_MS)) {
      // Somebody else wrote there: the next request begins again.
      this.#redis.del(...names).catch(() => undefined);
      throw new Error(`Redis has no counter under ${names.join(' and ')}`);
    }
    const left = networks.map(({ share }, at) => this.#max * share - counts[at]!);
    return { remaining: Math.min(...left), resetMs: times[0]! };
  }

  #fail(error: Error & { previousErrors?: Error[] }): void {
    // A transaction's own error says nothing but that a command of it was refused.
    const err = error.previousErrors?.[0] ?? error;
    if (this.#failedAt === undefined)
      this.#log.warn({ err }, 'The rate limit is counted in each process: Redis does not count');
    this.#failedAt = performance.now();
  }

  #recover(): void {
    const failedAt = this.#failedAt;
    if (failedAt === undefined || performance.now() - failedAt < BACK_AFTER_MS) return;
    this.#log.info('The rate limit is counted in Redis again');
    this.#failedAt = undefined;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0;
}
