import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';

/** SQLSTATEs of a transaction that failed because of another one: the next attempt may not. */
const INTERFERED: unknown[] = ['40001', '40P01'];

/** The pause before the next try, or the next look for jobs, in milliseconds. */
export const PAUSE_MS = 1_000;

const HOUR_MS = 60 * 60 * 1_000;

/** Logs each problem of an outage of the job queue once, and logs when no part has a problem. */
export class OutageLog {
  readonly #log: FastifyBaseLogger;
  /** The last problem of each part: the start, all queues, a queue, its heartbeat, a job's end. */
  readonly #problems = new Map<string, string>();
  /** The problems that are logged and have not ended. */
  readonly #known = new Set<string>();
  readonly #logged = new Set<string>();

  constructor(log: FastifyBaseLogger) {
    this.#log = log;
  }

  /** Waits for a part's answer. If that fails, it notes the problem and resolves with undefined. */
  async watch<Answer>(part: string, asked: Promise<Answer>): Promise<Answer | undefined> {
    try {
      const answer = await asked;
      this.end(part);
      return answer;
    } catch (error) {
      const err = error as Error & { code?: unknown };
      if (INTERFERED.includes(err.code)) return undefined;
      const away =
        'The job queue is away, or release has not run yet: trying again until it answers';
      if (!this.#known.has(err.message)) this.#log.warn({ err }, away);
      this.#known.add(err.message);
      this.#problems.set(part, err.message);
      return undefined;
    }
  }

  /** Tries until it succeeds or until nobody waits for the result, which is then undefined. */
  async persist<Result>(
    part: string,
    attempt: () => Promise<Result>,
    isAwaited: () => boolean,
  ): Promise<Result | undefined> {
    for (;;) {
      const result = await this.watch(part, attempt());
      if (result !== undefined || !isAwaited()) return result;
      await sleep(PAUSE_MS);
    }
  }

  end(part: string): void {
    if (!this.#problems.delete(part)) return;
    const left = [...this.#problems.values()];
    for (const problem of this.#known) if (!left.includes(problem)) this.#known.delete(problem);
    if (left.length === 0) this.#log.info('The job queue is back');
  }

  /** Logs a failure of pg-boss's own work once an hour: pg-boss does not report its end. */
  noteOwn(err: Error): void {
    if (this.#logged.has(err.message)) return;
    this.#logged.add(err.message);
    setTimeout(() => this.#logged.delete(err.message), HOUR_MS).unref();
    this.#log.warn({ err }, 'Scheduling or maintenance of the job queue failed: trying again');
  }
}
