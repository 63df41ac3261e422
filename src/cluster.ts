import cluster, { type Worker } from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import type { Config } from '../plugins/env/index.ts';
import { watchBeats } from './heartbeat.ts';
import { readLines } from './lines.ts';
import { output } from './logger.ts';
import { onStop, STOP_SIGNALS } from './signals.ts';

/** The message to the primary from a worker that has crashed and takes no new requests. */
export const CRASHED = 'crashed';

/** How long to wait for a dead worker's last log lines. */
const OUTPUT_TIMEOUT_MS = 1_000;

/** A worker should exit at SHUTDOWN_TIMEOUT_MS. It is killed this much later, in milliseconds. */
const STOP_MARGIN_MS = 500;

/** A worker that lived for less than this, in milliseconds, counts as a failed start. */
const STABLE_MS = 5_000;

/** The pause before the next worker, in milliseconds, after 0, 1, 2, … failed starts in a row. */
const PAUSES_MS = [0, 200, 400, 800, 1_600, 3_200, 6_400, 10_000];

/** Runs this program in workers that share its port, until a signal or this process is killed. */
export class Primary {
  readonly #log: FastifyBaseLogger;
  readonly #stopTimeoutMs: number;
  readonly #startedAt = new Map<Worker, number>();
  readonly #crashed = new WeakSet<Worker>();
  readonly #killed = new WeakSet<Worker>();
  #failedStarts = 0;
  #hasListened = false;
  #stopping = false;
  #exitCode = 0;

  constructor(log: FastifyBaseLogger, { SHUTDOWN_TIMEOUT_MS }: Readonly<Config>) {
    this.#log = log;
    this.#stopTimeoutMs = SHUTDOWN_TIMEOUT_MS + STOP_MARGIN_MS;
  }

  /** The other workers start only when the first one listens, so a failure is logged once. */
  start(workers: number): void {
    onStop(() => this.#stop());
    cluster.on('message', (worker, message) => message === CRASHED && this.#onCrash(worker));
    cluster.on('exit', (worker, code, signal) => this.#onExit(worker, code, signal));
    watchBeats((worker) => this.#killSilent(worker));
    cluster.once('listening', () => {
      this.#hasListened = true;
      for (let started = 1; started < workers; started++) this.#fork();
    });
    const message = 'Starting WEB_CONCURRENCY web processes, at most one for each processor';
    this.#log.info({ workers }, message);
    // Only the primary writes the log: two writers to one pipe can mix parts of their lines.
    cluster.setupPrimary({ stdio: ['inherit', 'pipe', 'inherit', 'ipc'] });
    this.#fork();
  }

  #fork(): void {
    if (this.#stopping) return;
    const worker = cluster.fork();
    this.#startedAt.set(worker, performance.now());
    readLines(worker.process.stdout!, (line) => output.write(`${line}\n`));
  }

  #onCrash(worker: Worker): void {
    // It comes for each exception. The worker still answers its open requests.
    if (this.#crashed.has(worker)) return;
    this.#crashed.add(worker);
    this.#replace(worker, { code: 1 });
  }

  /** The platform may not notice the blocked worker: the others answer its health checks. */
  #killSilent(worker: Worker): void {
    const { pid } = worker.process;
    this.#log.error({ worker: pid }, 'A web process whose event loop is blocked is killed');
    this.#kill(worker);
  }

  #kill(worker: Worker): void {
    this.#killed.add(worker);
    worker.process.kill('SIGKILL');
  }

  #onExit(worker: Worker, code: number | null, signal: string | null): void {
    const isFinal = this.#stopping || !this.#hasListened;
    // A signal can come before the worker has a handler for it.
    const isFailure = signal ? !STOP_SIGNALS.some((name) => name === signal) : code !== 0;
    if (isFinal && isFailure) this.#exitCode = 1;
    // A worker that exits has logged why, and so has this process if it kills one.
    if (isFinal && isFailure && signal && !this.#killed.has(worker))
      this.#log.error({ worker: worker.process.pid, signal }, 'A web process was killed');
    if (isFinal) this.#stop();
    else if (!this.#crashed.has(worker)) this.#replace(worker, { code, signal });
    // Its last lines may not have arrived yet. Another process may hold its stdout open.
    const forget = () => {
      this.#startedAt.delete(worker);
      this.#exitAfterLast();
    };
    worker.process.once('close', forget);
    setTimeout(forget, OUTPUT_TIMEOUT_MS);
  }

  async #replace(worker: Worker, reason: object): Promise<void> {
    const livedMs = performance.now() - this.#startedAt.get(worker)!;
    this.#failedStarts = livedMs < STABLE_MS ? this.#failedStarts + 1 : 0;
    const pauseMs = PAUSES_MS[this.#failedStarts];
    if (pauseMs === undefined) {
      const failure = `${PAUSES_MS.length} workers in a row ended within ${STABLE_MS / 1_000} s`;
      this.#log.fatal(`${failure}: the process gives up`);
      this.#exitCode = 1;
      return this.#stop();
    }
    const line = { worker: worker.process.pid, ...reason, pauseMs };
    this.#log.warn(line, 'A web process failed: another one takes its place');
    await sleep(pauseMs);
    this.#fork();
  }

  /** Heroku also signals the workers themselves, which ignore the second signal. */
  #stop(): void {
    if (!this.#stopping) setTimeout(() => this.#killStuck(), this.#stopTimeoutMs);
    this.#stopping = true;
    for (const worker of this.#startedAt.keys()) worker.process.kill('SIGTERM');
    this.#exitAfterLast();
  }

  /** A blocked event loop runs no signal handler. */
  #killStuck(): void {
    const stuck = [...this.#startedAt.keys()];
    const workers = stuck.map(({ process: { pid } }) => pid);
    this.#log.error({ workers }, 'Web processes that do not stop are killed');
    for (const worker of stuck) this.#kill(worker);
  }

  #exitAfterLast(): void {
    if (this.#stopping && this.#startedAt.size === 0) process.exit(this.#exitCode);
  }
}
