import { Agent, get } from 'node:http';

/**
 * How often a stream asks, in milliseconds: often enough to see each moment, too seldom for an app
 * on a slow machine to take it for an overload.
 */
const INTERVAL_MS = 50;

/**
 * A steady stream of requests, whatever becomes of them, each answer counted by its status and its
 * second.
 */
export class Stream {
  /** How many requests were sent. */
  sent = 0;
  /** What was answered how often; what got no answer is counted under the error's code. */
  readonly outcomes: Record<string, number> = {};
  readonly #url: string;
  readonly #bySecond: Record<string, number>[] = [];
  readonly #open = new Set<Promise<void>>();
  readonly #agent: Agent;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #slowestMs = 0;

  /** @param keepAlive false for a connection of its own for each request */
  constructor(url: string, keepAlive = true) {
    this.#url = url;
    this.#agent = new Agent({ keepAlive });
    this.#timer = setInterval(() => this.#send(), INTERVAL_MS);
  }

  /** Requests that got no answer at all. */
  get lost(): number {
    return Object.entries(this.outcomes).reduce(
      (sum, [outcome, count]) => sum + (Number(outcome) ? 0 : count),
      0,
    );
  }

  /** How often this was the outcome so far. */
  count(outcome: number | string): number {
    return this.outcomes[outcome] ?? 0;
  }

  /** Sends no more, and resolves when everything is answered. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
    this.#agent.destroy();
  }

  /** For the output of a test: what was sent, what was lost, and what came back in which second. */
  describe(): string[] {
    const total = `GET ${new URL(this.#url).pathname}: ${this.sent} sent, ${this.lost} lost, slowest ${Math.round(this.#slowestMs)} ms`;
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

/** The status of the answer once it has arrived whole, or the code of the error. */
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
