import cluster from 'node:cluster';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { exitWith } from './exit-with.ts';
import type { Listener } from './process.ts';

const CRASH = 'an uncaught exception';

const CRASH_TIMEOUT_MS = 2_000;

/**
 * Stops a process without failed requests. Fastify's close() alone refuses requests that routers
 * still send. close-with-grace cuts open requests at a second SIGTERM, as Dokku and Heroku send.
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

  /** Exits with code 0, or with 1 after SHUTDOWN_TIMEOUT_MS. A second call does nothing. */
  stop(): void {
    const { SHUTDOWN_DELAY_MS, SHUTDOWN_TIMEOUT_MS } = this.#app.config;
    if (!this.#hasBegun)
      this.#begin(SHUTDOWN_DELAY_MS, SHUTDOWN_TIMEOUT_MS, 'at SHUTDOWN_TIMEOUT_MS');
  }

  /** Exits with code 1. It drains without a delay: the process is in an unknown state. */
  crash(): void {
    this.#crashed.abort();
    this.#begin(0, CRASH_TIMEOUT_MS, `${CRASH_TIMEOUT_MS / 1_000} s after ${CRASH}`);
  }

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
    log.info({ requests, delayMs }, 'Draining: readiness is 503, so that no new requests come');
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
    const message = `Still open ${when}: the process exits anyway`;
    this.#app.log.error({ requests, timeoutMs, exitCode: 1 }, message);
    process.exit(1);
  }
}

/** The primary may have just sent a connection. Without this, its client would wait forever. */
async function returnConnections(): Promise<void> {
  if (!cluster.worker) return;
  cluster.worker.disconnect();
  await once(cluster.worker, 'disconnect');
}
