import type { Network } from './networks.ts';

export const WINDOW_MS = 60_000;

/** How many clients are kept in memory, which takes about ten megabytes. */
const MAX_CLIENTS = 100_000;

export interface Allowance {
  /** Below 0 if the limit is exceeded. */
  remaining: number;
  /** Until the whole limit is available again. */
  resetMs: number;
}

/**
 * Counts requests in this process. All clients share one window, so that its end frees all memory.
 * Too many clients make it forget those below the limit, and of the others those with the fewest
 * requests.
 */
export class Counter {
  readonly #max: number;
  readonly #counts = new Map<string, number>();
  #endsAt = Number.NEGATIVE_INFINITY;

  /** @param max the most requests of one client in a window */
  constructor(max: number) {
    this.#max = max;
  }

  count(networks: Network[], now = performance.now()): Allowance {
    if (now >= this.#endsAt) {
      this.#counts.clear();
      this.#endsAt = now + WINDOW_MS;
    }
    let remaining = Number.POSITIVE_INFINITY;
    for (const { name, share } of networks) {
      const count = (this.#counts.get(name) ?? 0) + 1;
      this.#counts.set(name, count);
      remaining = Math.min(remaining, this.#max * share - count);
    }
    if (this.#counts.size > MAX_CLIENTS) this.#prune();
    return { remaining, resetMs: this.#endsAt - now };
  }

  /** Forgets at least half of the clients, so that few requests pay for it. */
  #prune(): void {
    for (let least = this.#max; this.#counts.size > MAX_CLIENTS / 2; least *= 2)
      for (const [name, count] of this.#counts) if (count < least) this.#counts.delete(name);
  }
}
