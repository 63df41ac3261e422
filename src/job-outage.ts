import type { FastifyBaseLogger } from 'fastify';

/** Logs each problem of the job queue once, and logs its end when no part has a problem. */
export class OutageLog {
  readonly #log: FastifyBaseLogger;
  /** The problem of each part: the start, a queue, or a running job. */
  readonly #problems = new Map<string, string>();
  /** Problems that pg-boss reported of its own work since the last outage of the queue. */
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
      this.#begin(part, error as Error);
      return undefined;
    }
  }

  /** Notes that a part got its answer, or has ended. */
  end(part: string): void {
    if (!this.#problems.delete(part) || this.#problems.size > 0) return;
    this.#logged.clear();
    this.#log.info('The job queue is back');
  }

  #begin(part: string, err: Error): void {
    const isLogged = [...this.#problems.values()].includes(err.message);
    this.#problems.set(part, err.message);
    const away = 'The job queue is away, or release has not run yet: trying again until it answers';
    if (!isLogged) this.#log.warn({ err }, away);
  }

  /** Logs a failure of pg-boss's clock or cleaning. pg-boss does not say when they work again. */
  noteOwn(err: Error): void {
    const failed = 'The clock or the cleaning of the job queue failed: trying again';
    if (!this.#logged.has(err.message)) this.#log.warn({ err }, failed);
    this.#logged.add(err.message);
  }
}
