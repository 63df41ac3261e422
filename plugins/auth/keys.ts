import createError from '@fastify/error';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';

/** When known keys are fetched again, in milliseconds. */
const MAX_AGE_MS = 600_000;

/** The pauses between two questions to the issuer, in milliseconds. */
const PAUSE_MS = 30_000;
const FAILURE_PAUSE_MS = 2_000;

const Unavailable = createError('AUTH_UNAVAILABLE', 'The issuer cannot be reached', 503);

/** Keys, fetched when needed and kept: createRemoteJWKSet forgets them while the issuer is away. */
export class Keys {
  readonly #fetchKeys: () => Promise<JSONWebKeySet>;
  #known: JWTVerifyGetKey = () => Promise.reject(new errors.JWKSNoMatchingKey());
  #asking: Promise<void> | undefined;
  #failure: Error | undefined;
  /** By performance.now(), as all times here. */
  #nextAt = 0;
  #staleAt = Number.POSITIVE_INFINITY;

  constructor(fetchKeys: () => Promise<JSONWebKeySet>) {
    this.#fetchKeys = fetchKeys;
  }

  /**
   * For readiness: asks no more often than unknown keys do, and waits for the issuer only while no
   * key is known. Rejects while it cannot be reached.
   */
  readonly check = async (): Promise<void> => {
    const refreshed = this.#refresh();
    if (!Number.isFinite(this.#staleAt)) return refreshed;
    refreshed.catch(() => undefined);
    if (this.#failure) throw this.#failure;
  };

  /**
   * Runs `check` with these keys, or with newer ones where none of them is the token's. Rejects
   * with 503 where newer ones are needed and the issuer is away.
   */
  async try<Result>(check: (find: JWTVerifyGetKey) => Promise<Result>): Promise<Result> {
    if (performance.now() > this.#staleAt) this.#refresh().catch(() => undefined);
    const known = this.#known;
    try {
      return await check(known);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await this.#refresh();
      if (this.#known === known) throw error;
    }
    return check(this.#known);
  }

  /** Asks at most one question at a time. */
  async #refresh(): Promise<void> {
    if (performance.now() > this.#nextAt) this.#asking ??= this.#ask();
    await this.#asking;
    if (this.#failure) throw this.#failure;
  }

  async #ask(): Promise<void> {
    const askedAt = performance.now();
    try {
      this.#known = createLocalJWKSet(await this.#fetchKeys());
      this.#failure = undefined;
      // Counted from the question: an issuer publishes a key 30 s before it is used.
      this.#nextAt = askedAt + PAUSE_MS;
      this.#staleAt = askedAt + MAX_AGE_MS;
    } catch (cause) {
      this.#failure = new Unavailable({ cause });
      this.#nextAt = performance.now() + FAILURE_PAUSE_MS;
    }
    this.#asking = undefined;
  }
}
