import createError from '@fastify/error';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';

const MAX_AGE_MS = 600_000;

/** The pauses between two requests to the issuer. */
const PAUSE_MS = 30_000;
const FAILURE_PAUSE_MS = 2_000;

const Unavailable = createError('AUTH_UNAVAILABLE', 'The issuer cannot be reached', 503);

/** Fetches keys when needed and keeps them. createRemoteJWKSet loses them if the issuer is down. */
export class Keys {
  readonly #fetchKeys: () => Promise<JSONWebKeySet>;
  #known: JWTVerifyGetKey = () => Promise.reject(new errors.JWKSNoMatchingKey());
  #fetching: Promise<void> | undefined;
  #failure: Error | undefined;
  #failedAt = Number.NEGATIVE_INFINITY;
  #nextAt = 0;
  #nextCheckAt = 0;
  #staleAt = Number.POSITIVE_INFINITY;

  constructor(fetchKeys: () => Promise<JSONWebKeySet>) {
    this.#fetchKeys = fetchKeys;
  }

  /** For readiness. Its own pauses do not delay a new key. It waits only while none is known. */
  readonly check = async (): Promise<void> => {
    const refreshed = this.#refresh(true);
    if (!Number.isFinite(this.#staleAt)) await refreshed;
    if (this.#failure) throw this.#failure;
  };

  /** Runs `check` with known keys, then newer ones. Rejects with a 503 if the issuer is down. */
  async try<Result>(check: (find: JWTVerifyGetKey) => Promise<Result>): Promise<Result> {
    const renewed = this.#renewStale();
    if (renewed) await renewed;
    const known = this.#known;
    try {
      return await check(known);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await this.#refresh();
      if (this.#failure) throw this.#failure;
      if (this.#known === known) throw error;
    }
    return check(this.#known);
  }

  /** Fetches old keys again. Gives the fetch if the keys are too old to be used until it ends. */
  #renewStale(): Promise<void> | undefined {
    const staleForMs = performance.now() - this.#staleAt;
    if (staleForMs <= 0) return undefined;
    const refreshed = this.#refresh();
    // No request came for a long time: a key may have been withdrawn since.
    const isTried = performance.now() - this.#failedAt < MAX_AGE_MS;
    return staleForMs > MAX_AGE_MS && !isTried ? refreshed : undefined;
  }

  /** Sends at most one request at a time. Never rejects. */
  #refresh(isCheck = false): Promise<void> | undefined {
    const nextAt = isCheck ? this.#nextCheckAt : this.#nextAt;
    if (performance.now() > nextAt) this.#fetching ??= this.#fetch(isCheck);
    return this.#fetching;
  }

  async #fetch(isCheck: boolean): Promise<void> {
    const sentAt = performance.now();
    try {
      this.#known = createLocalJWKSet(await this.#fetchKeys());
      this.#failure = undefined;
      // From the request on, because an issuer publishes a key 30 s before it uses the key.
      this.#nextCheckAt = sentAt + PAUSE_MS;
      if (!isCheck) this.#nextAt = sentAt + PAUSE_MS;
      this.#staleAt = sentAt + MAX_AGE_MS;
    } catch (cause) {
      this.#failure = new Unavailable({ cause });
      this.#failedAt = performance.now();
      this.#nextCheckAt = this.#failedAt + FAILURE_PAUSE_MS;
      this.#nextAt = this.#nextCheckAt;
    }
    this.#fetching = undefined;
  }
}
