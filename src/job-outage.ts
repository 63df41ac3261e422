import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';

/** How long a database that is away is left alone, in milliseconds. */
const RETRY_MS = 1_000;

/** Says that the queue is away, and that it is back, each once; asks it again in between. */
export class JobOutage {
  readonly #log: FastifyBaseLogger;
  #problem = '';

  constructor(log: FastifyBaseLogger) {
    this.#log = log;
  }

  /** @param error why the queue did not answer; none where it did */
  report(error?: Error): void {
    const problem = error?.message ?? '';
    if (problem === this.#problem) return;
    this.#problem = problem;
    if (error)
      this.#log.warn(
        { err: error },
        'The job queue is away, or not released yet: it is asked again until it answers',
      );
    else this.#log.info('The job queue is back');
  }

  /** Tries until it succeeds, or until nobody waits any more: the result is undefined then. */
  async persist<Result>(
    attempt: () => Promise<Result>,
    isAwaited: () => boolean,
  ): Promise<Result | undefined> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        this.report(error as Error);
      }
      if (!isAwaited()) return undefined;
      await sleep(RETRY_MS);
    }
  }
}
