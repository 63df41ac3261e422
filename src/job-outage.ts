import type { FastifyBaseLogger } from 'fastify';

/** Tells each problem of the job queue once, and that it is back when no part has one. */
export class OutageLog {
  readonly #log: FastifyBaseLogger;
  /** The problem of each part: of the start, of a queue, of a job that runs. */
  readonly #problems = new Map<string, string>();
  /** What pg-boss told of its own work since the queue was last away. */
  readonly #told = new Set<string>();

  constructor(log: FastifyBaseLogger) {
    this.#log = log;
  }

  /** Waits for what a part asks; undefined where that failed, which is noted. */
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

  /** Notes that a part was answered, or is no more. */
  end(part: string): void {
    if (!this.#problems.delete(part) || this.#problems.size > 0) return;
    this.#told.clear();
    this.#log.info('The job queue is back');
  }

  #begin(part: string, err: Error): void {
    const isTold = [...this.#problems.values()].includes(err.message);
    this.#problems.set(part, err.message);
    const away = 'The job queue is away, or not released yet: it is asked again until it answers';
    if (!isTold) this.#log.warn({ err }, away);
  }

  /** pg-boss says when its clock or cleaning fails, and not when it works again. */
  noteOwn(err: Error): void {
    const failed = 'The clock or the cleaning of the job queue failed: it is tried again';
    if (!this.#told.has(err.message)) this.#log.warn({ err }, failed);
    this.#told.add(err.message);
  }
}
