export const WINDOW_MS = 60_000;

/** How many clients are kept in memory, which takes about ten megabytes. */
const MAX_CLIENTS = 100_000;

/** Addresses that are counted together. They may send `share` times the requests of a client. */
export interface Network {
  name: string;
  share: number;
}

export interface Allowance {
  /** Below 0 if the limit is exceeded. */
  remaining: number;
  /** Until the whole limit is available again. */
  resetMs: number;
}

/** Counts in this process. All clients share one window, so that its end frees all memory. */
export class Counter {
  readonly #max: number;
  readonly #counts = new Map<string, number>();
  #endsAt = Number.NEGATIVE_INFINITY;

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

  /** Forgets those with the fewest requests. Half or more go, so that few requests pay for it. */
  #prune(): void {
    for (let least = this.#max; this.#counts.size > MAX_CLIENTS / 2; least *= 2)
      for (const [name, count] of this.#counts) if (count < least) this.#counts.delete(name);
  }
}

/** How many clients a /48 stands for. It may be one customer, or many customers of a carrier. */
const CLIENTS_OF_48 = 10;

/** An IPv6 customer may have 65,536 networks (/64), so they are counted in their /48 too. */
export function readNetworks(address: string): Network[] {
  if (!address.includes(':')) return [{ name: address, share: 1 }];
  const groups = readGroups(address);
  return [
    { name: `${groups.slice(0, 4).join(':')}::/64`, share: 1 },
    { name: `${groups.slice(0, 3).join(':')}::/48`, share: CLIENTS_OF_48 },
  ];
}

/** All eight groups of an IPv6 address, without leading zeros and without `::`. */
function readGroups(address: string): string[] {
  const [before = [], after = []] = address
    .split('::')
    .map((part) => part.split(':').filter(Boolean));
  const missing = Array(Math.max(0, 8 - before.length - after.length)).fill('0');
  return [...before, ...missing, ...after].map((group) => parseInt(group, 16).toString(16));
}
