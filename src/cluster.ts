import cluster, { type Worker } from 'node:cluster';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import type { Config } from '../plugins/env/index.ts';
import { watchBeats } from './heartbeat.ts';
import { writeLines } from './logger.ts';
import { onStop, STOP_SIGNALS } from './signals.ts';

/** What a worker sends to the primary when it has crashed and takes no more requests. */
export const CRASHED = 'crashed';

/** A worker that lived shorter, in milliseconds, died at once: another one may not help. */
const STABLE_MS = 5_000;

/** After so many in a row, the process gives up: the platform starts it again. */
const MAX_DEATHS = 8;

/** The pause before the next worker, in milliseconds; it doubles with each that died at once. */
const PAUSE_MS = 100;
const MAX_PAUSE_MS = 10_000;

/** How long a dead worker's last lines are waited for, in milliseconds. */
const OUTPUT_TIMEOUT_MS = 1_000;

/** How long after SHUTDOWN_TIMEOUT_MS, when a worker ends itself, it is killed, in milliseconds. */
const STOP_MARGIN_MS = 1_000;

/** How many processes share the port: more than there are processors would only take turns. */
export function countWorkers({ WEB_CONCURRENCY }: Readonly<Config>): number {
  return Math.min(WEB_CONCURRENCY, availableParallelism());
}

/**
 * Keeps workers running, which run this same program and share its port. Told to stop, it tells
 * them, and ends after the last one; should it be killed, node:cluster ends them.
 */
export class Primary {
  readonly #log: FastifyBaseLogger;
  readonly #stopTimeoutMs: number;
  /** When each worker was started, by performance.now(). */
  readonly #startedAt = new Map<Worker, number>();
  readonly #crashed = new WeakSet<Worker>();
  #hasListened = false;
  #stopping = false;
  #exitCode = 0;
  #deaths = 0;

  constructor(log: FastifyBaseLogger, { SHUTDOWN_TIMEOUT_MS }: Readonly<Config>) {
    this.#log = log;
    this.#stopTimeoutMs = SHUTDOWN_TIMEOUT_MS + STOP_MARGIN_MS;
  }

  /** Starts one worker, and the others when it listens: what stops them all is logged once. */
  start(workers: number): void {
    onStop(() => this.#stop());
    cluster.on('message', (worker, message) => message === CRASHED && this.#onCrash(worker));
    cluster.on('exit', (worker, code, signal) => this.#onExit(worker, code, signal));
    watchBeats((worker) => this.#killSilent(worker));
    cluster.once('listening', () => {
      this.#hasListened = true;
      for (let started = 1; started < workers; started++) this.#fork();
    });
    const message = 'Starting one worker for each of WEB_CONCURRENCY, at most one per processor';
    this.#log.info({ workers }, message);
    // One process writes the log: two that share a pipe tear each other's lines.
    cluster.setupPrimary({ stdio: ['inherit', 'pipe', 'inherit', 'ipc'] });
    this.#fork();
  }

  #fork(): void {
    if (this.#stopping) return;
    const worker = cluster.fork();
    this.#startedAt.set(worker, performance.now());
    createInterface(worker.process.stdout!).on('line', (line) => writeLines(`${line}\n`));
  }

  /** It still answers what it has: another one takes new requests meanwhile. */
  #onCrash(worker: Worker): void {
    // Each exception says it again.
    if (this.#crashed.has(worker)) return;
    this.#crashed.add(worker);
    this.#replace(worker, { code: 1 });
  }

  /** The platform may not notice: whichever worker it asks for its health, the others answer. */
  #killSilent(worker: Worker): void {
    const { pid } = worker.process;
    this.#log.error({ worker: pid }, 'A worker whose event loop stands still is killed');
    worker.process.kill('SIGKILL');
  }

  #onExit(worker: Worker, code: number | null, signal: string | null): void {
    const isEnd = this.#stopping || !this.#hasListened;
    // A signal can come before the worker has a handler for it.
    const isFailure = signal ? !STOP_SIGNALS.some((name) => name === signal) : code !== 0;
    if (isEnd && isFailure) this.#exitCode = 1;
    if (isEnd) this.#stop();
    else if (!this.#crashed.has(worker)) this.#replace(worker, { code, signal });
    // Its last lines may still be on their way, or another process may hold its stdout open.
    const forget = () => {
      this.#startedAt.delete(worker);
      this.#exitAfterLast();
    };
    worker.process.once('close', forget);
    setTimeout(forget, OUTPUT_TIMEOUT_MS);
  }

  async #replace(worker: Worker, reason: object): Promise<void> {
    const livedMs = performance.now() - this.#startedAt.get(worker)!;
    this.#deaths = livedMs < STABLE_MS ? this.#deaths + 1 : 0;
    if (this.#deaths >= MAX_DEATHS) return this.#giveUp();
    const pauseMs = this.#deaths === 0 ? 0 : Math.min(PAUSE_MS * 2 ** this.#deaths, MAX_PAUSE_MS);
    const line = { worker: worker.process.pid, ...reason, pauseMs };
    this.#log.warn(line, 'A worker ended: another one takes its place');
    await sleep(pauseMs);
    this.#fork();
  }

  #giveUp(): void {
    const reason = `${MAX_DEATHS} workers in a row ended within ${STABLE_MS / 1_000} s`;
    this.#log.fatal(`${reason}: the process gives up`);
    this.#exitCode = 1;
    this.#stop();
  }

  /** Heroku signals all processes of a dyno, others this one alone: a second signal is ignored. */
  #stop(): void {
    if (!this.#stopping) setTimeout(() => this.#kill(), this.#stopTimeoutMs);
    this.#stopping = true;
    for (const worker of this.#startedAt.keys()) worker.process.kill('SIGTERM');
    this.#exitAfterLast();
  }

  /** A worker whose event loop stands still hears no signal, and no timer of its own. */
  #kill(): void {
    const stuck = Array.from(this.#startedAt.keys(), (worker) => worker.process);
    const workers = stuck.map(({ pid }) => pid);
    this.#log.error({ workers }, 'Workers that do not stop are killed');
    for (const worker of stuck) worker.kill('SIGKILL');
  }

  #exitAfterLast(): void {
    if (this.#stopping && this.#startedAt.size === 0) process.exit(this.#exitCode);
  }
}
