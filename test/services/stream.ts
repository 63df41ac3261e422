import { Agent, get } from 'node:http';

/**
 * The time between two requests, in milliseconds: short enough to see each moment, long enough not
 * to overload a slow machine.
 */
const INTERVAL_MS = 50;

/** A steady stream of requests. It counts each answer by status and second. */
export class Stream {
  /** The number of sent requests. */
  sent = 0;
  /** The number of answers by status, and of failures by the error's code. */
  readonly outcomes: Record<string, number> = {};
  readonly #url: string;
  readonly #bySecond: Record<string, number>[] = [];
  readonly #open = new Set<Promise<void>>();
  readonly #agent: Agent;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #slowestMs = 0;

  /** @param keepAlive false for a new connection per request */
  constructor(url: string, keepAlive = true) {
    this.#url = url;
    this.#agent = new Agent({ keepAlive });
    this.#timer = setInterval(() => this.#send(), INTERVAL_MS);
  }

  /** The number of requests without an answer. */
  get lost(): number {
    return Object.entries(this.outcomes).reduce(
      (sum, [outcome, count]) => sum + (Number(outcome) ? 0 : count),
      0,
    );
  }

  /** The number of this outcome so far. */
  count(outcome: number | string): number {
    return this.outcomes[outcome] ?? 0;
  }

  /** Stops sending, and resolves when all requests are answered. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
    this.#agent.destroy();
  }

  /** Describes sent and lost requests, and the outcomes of each second. */
  describe(): string[] {
    const path = new URL(this.#url).pathname;
    const slowest = `slowest ${Math.round(this.#slowestMs)} ms`;
    const total = `GET ${path}: ${this.sent} sent, ${this.lost} lost, ${slowest}`;
    const seconds = Array.from(
      this.#bySecond,
      (outcomes, second) => `  second ${second}: ${describeOutcomes(outcomes)}`,
    );
    return [`${total}; ${describeOutcomes(this.outcomes)}`, ...seconds];
  }

  #send(): void {
    const sentAt = performance.now();
    this.sent++;
    const answered = ask(this.#url, this.#agent).then((outcome) => {
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - sentAt);
      const second = Math.floor((performance.now() - this.#startedAt) / 1_000);
      this.#bySecond[second] ??= {};
      for (const counts of [this.outcomes, this.#bySecond[second]])
        counts[outcome] = (counts[outcome] ?? 0) + 1;
      this.#open.delete(answered);
    });
    this.#open.add(answered);
  }
}

/** Resolves with the status of the complete answer, or the error's code. */
function ask(url: string, agent: Agent): Promise<string> {
  return new Promise((resolve) => {
    const fail = ({ code = 'ERROR' }: NodeJS.ErrnoException) => resolve(code);
    const request = get(url, { agent }, (response) => {
      response.on('error', fail).on('end', () => resolve(String(response.statusCode)));
      response.resume();
    });
    request.on('error', fail);
  });
}

function describeOutcomes(outcomes: Record<string, number> = {}): string {
  const counts = Object.entries(outcomes).map(([outcome, count]) => `${count} × ${outcome}`);
  return counts.join(', ') || 'nothing';
}
