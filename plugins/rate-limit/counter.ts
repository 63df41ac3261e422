import type { Network } from './networks.ts';

/** The window in which requests are counted, in milliseconds. */
export const WINDOW_MS = 60_000;

/** How many clients below the limit are remembered: some ten megabytes. */
const MAX_CLIENTS = 100_000;

/** What is left of the limit, below 0 when it is exceeded, and when all of it is back. */
export interface Allowance {
  remaining: number;
  resetMs: number;
}

/**
 * Counts in this process. All clients have the same window, so that nothing of an old one is kept.
 * In a flood of addresses, those below the limit are forgotten, never one that is above it.
 */
export class Counter {
  readonly #max: number;
  readonly #counts = new Map<string, number>();
  #endsAt = Number.NEGATIVE_INFINITY;
  #pruneAt = MAX_CLIENTS;

  /** @param max how often one client may ask in a window */
  constructor(max: number) {
    this.#max = max;
  }

  /** @param now by performance.now() */
  count(networks: Network[], now = performance.now()): Allowance {
    if (now >= this.#endsAt) this.#begin(now);
    let remaining = Number.POSITIVE_INFINITY;
    for (const { name, share } of networks) {
      const count = (this.#counts.get(name) ?? 0) + 1;
      this.#counts.set(name, count);
      remaining = Math.min(remaining, this.#max * share - count);
    }
    if (this.#counts.size > this.#pruneAt) this.#prune();
    return { remaining, resetMs: this.#endsAt - now };
  }

  #begin(now: number): void {
    this.#counts.clear();
    this.#endsAt = now + WINDOW_MS;
    this.#pruneAt = MAX_CLIENTS;
  }

  /** The next time comes when as many are new, so that a flood costs each request the same. */
  #prune(): void {
    for (const [name, count] of this.#counts) if (count < this.#max) this.#counts.delete(name);
    this.#pruneAt = this.#counts.size + MAX_CLIENTS;
  }
}
