/** A worker that lived for less than this, in milliseconds, counts as a failed start. */
const STABLE_MS = 5_000;

const MAX_FAILURES = 8;

const PAUSE_MS = 100;
const MAX_PAUSE_MS = 10_000;

export const TOO_MANY = `${MAX_FAILURES} workers in a row ended within ${STABLE_MS / 1_000} s`;

/** Counts the failed starts of workers, and decides when the next one starts. */
export class Restarts {
  #failures = 0;

  /** The pause before the next worker, in milliseconds. Undefined after MAX_FAILURES: give up. */
  pauseAfter(livedMs: number): number | undefined {
    this.#failures = livedMs < STABLE_MS ? this.#failures + 1 : 0;
    if (this.#failures === 0) return 0;
    if (this.#failures < MAX_FAILURES)
      return Math.min(PAUSE_MS * 2 ** this.#failures, MAX_PAUSE_MS);
  }
}
