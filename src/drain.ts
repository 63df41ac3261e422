import cluster from 'node:cluster';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { exitWith } from './operator-error.ts';
import type { Listener } from './process.ts';

const CRASH = 'an uncaught exception';

/** How long requests in flight may take after a crash, in milliseconds. */
const CRASH_TIMEOUT_MS = 2_000;

/**
 * Ends a process that serves so that no client notices: readiness says it, requests are taken for
 * SHUTDOWN_DELAY_MS, the port is closed, what is open is answered. Fastify's close() alone refuses
 * what routers still send. close-with-grace was tried: a second SIGTERM, as Dokku and Heroku send
 * it, cuts the open requests.
 */
export class Drain {
  readonly #app: FastifyInstance;
  readonly #listener: Listener;
  readonly #crashed = new AbortController();
  #hasBegun = false;

  constructor(app: FastifyInstance, listener: Listener) {
    this.#app = app;
    this.#listener = listener;
  }

  /** Exit code 0, or 1 after SHUTDOWN_TIMEOUT_MS. A second call does nothing. */
  stop(): void {
    const { SHUTDOWN_DELAY_MS, SHUTDOWN_TIMEOUT_MS } = this.#app.config;
    if (!this.#hasBegun)
      this.#begin(SHUTDOWN_DELAY_MS, SHUTDOWN_TIMEOUT_MS, 'at SHUTDOWN_TIMEOUT_MS');
  }

  /** Ends with exit code 1: a process in an unknown state takes nothing new. */
  crash(): void {
    this.#crashed.abort();
    this.#begin(0, CRASH_TIMEOUT_MS, `${CRASH_TIMEOUT_MS / 1_000} s after ${CRASH}`);
  }

  /** @param when says what the timeout is, for the line of what is still open then */
  async #begin(delayMs: number, timeoutMs: number, when: string): Promise<void> {
    setTimeout(() => this.#forceExit(timeoutMs, when), timeoutMs);
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    await this.#drain(delayMs).catch((error) => exitWith(error, this.#app.log));
    process.exit(this.#crashed.signal.aborted ? 1 : 0);
  }

  async #drain(delayMs: number): Promise<void> {
    const { log, readiness } = this.#app;
    const { signal } = this.#crashed;
    const startedAt = performance.now();
    const requests = this.#listener.openRequests().length;
    log.info({ requests }, 'Draining: no new requests should come here');
    readiness.draining = true;
    this.#listener.announceClose();
    await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    await this.#listener.close();
    await returnConnections();
    const durationMs = Math.round(performance.now() - startedAt);
    if (signal.aborted) log.error({ durationMs, exitCode: 1 }, `Drained after ${CRASH}`);
    else log.info({ durationMs, exitCode: 0 }, 'Drained');
  }

  #forceExit(timeoutMs: number, when: string): never {
    const requests = this.#listener.openRequests();
    const message = `Still open ${when}: the process ends without them`;
    this.#app.log.error({ requests, timeoutMs, exitCode: 1 }, message);
    process.exit(1);
  }
}

/**
 * The primary may have sent a connection before it heard that this worker takes none. It gets that
 * back for another worker, and answers only then; else the client would wait forever.
 */
async function returnConnections(): Promise<void> {
  if (!cluster.worker) return;
  cluster.worker.disconnect();
  await once(cluster.worker, 'disconnect');
}
