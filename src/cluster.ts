import cluster, { type Worker } from 'node:cluster';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import type { Config } from '../plugins/env/index.ts';

/** A worker that lived shorter than this, in milliseconds, died at once: starting it again may not help. */
const STABLE_MS = 5_000;

/** The pause before a worker is started again, in milliseconds; it doubles with each that died at once. */
const PAUSE_MS = 100;
const MAX_PAUSE_MS = 10_000;

/** After so many that died at once, one after the other, the process gives up and leaves it to the platform. */
const MAX_DEATHS = 8;

/** How many processes share the port: more than there are processors would only take turns. */
export function countWorkers({ WEB_CONCURRENCY }: Readonly<Config>): number {
  return Math.min(WEB_CONCURRENCY, availableParallelism());
}

/**
 * Starts the workers, which run this same program and share its port, and starts them again when they die. The first
 * starts alone, so that what keeps all from starting is said once. Told to stop, it tells them, and ends after the
 * last; should it be killed, node:cluster ends them.
 */
export class Primary {
  readonly #log: FastifyBaseLogger;
  readonly #startedAt = new Map<Worker, number>();
  #started = false;
  #stopping = false;
  #exitCode = 0;
  #deaths = 0;

  constructor(count: number, log: FastifyBaseLogger) {
    this.#log = log;
    process.on('SIGTERM', () => this.#stop());
    process.on('SIGINT', () => this.#stop());
    cluster.on('exit', (worker, code, signal) => this.#replace(worker, code, signal));
    cluster.once('listening', () => {
      this.#started = true;
      while (this.#startedAt.size < count) this.#fork();
    });
    log.info(
      { workers: count },
      'Starting one worker for each of WEB_CONCURRENCY, at most one for each processor',
    );
    this.#fork();
  }

  #fork(): void {
    if (!this.#stopping) this.#startedAt.set(cluster.fork(), performance.now());
  }

  async #replace(worker: Worker, code: number | null, signal: string | null): Promise<void> {
    const livedMs = performance.now() - (this.#startedAt.get(worker) as number);
    this.#startedAt.delete(worker);
    if (!this.#started || (this.#stopping && code !== 0)) this.#exitCode = 1;
    if (!this.#started) this.#stop();
    if (this.#stopping) return this.#exitAfterLast();

    this.#deaths = livedMs < STABLE_MS ? this.#deaths + 1 : 0;
    if (this.#deaths >= MAX_DEATHS) return this.#giveUp();
    const pauseMs = this.#deaths === 0 ? 0 : Math.min(PAUSE_MS * 2 ** this.#deaths, MAX_PAUSE_MS);
    this.#log.warn(
      { worker: worker.process.pid, code, signal, pauseMs },
      'A worker ended: another one takes its place',
    );
    await sleep(pauseMs);
    this.#fork();
  }

  #giveUp(): void {
    this.#log.fatal(
      `${MAX_DEATHS} workers in a row ended within ${STABLE_MS / 1_000} s: the process gives up`,
    );
    this.#exitCode = 1;
    this.#stop();
  }

  /** Heroku signals all processes of a dyno, other platforms this one alone: a worker ignores the second signal. */
  #stop(): void {
    this.#stopping = true;
    for (const worker of this.#startedAt.keys()) worker.process.kill('SIGTERM');
    this.#exitAfterLast();
  }

  #exitAfterLast(): void {
    if (this.#startedAt.size === 0) process.exit(this.#exitCode);
  }
}
