import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { JobWithMetadata, PgBoss } from 'pg-boss';
import type { DatabaseDriver } from '../plugins/database/index.ts';
import type { Job } from '../plugins/jobs.ts';
import { startBoss, stopBoss, TAKER } from './job-boss.ts';
import { HEARTBEAT_S, sendHeartbeats } from './job-heartbeat.ts';
import { OutageLog, PAUSE_MS } from './job-outage.ts';
import { type JobObserver, RETURNED, type Result, type Run, runJob } from './job-run.ts';
import { findReady, listQueues, readQueued, storeResult } from './job-storage.ts';
import { OperatorError } from './operator-error.ts';

/** How long a stopped worker without jobs waits for answers of the database, in milliseconds. */
const END_MS = 2_000;

/** Takes jobs from all queues, runs WORKER_CONCURRENCY at once, and stores their results. */
export class JobTaker {
  readonly #app: FastifyInstance;
  readonly #jobs: Map<string, Job>;
  readonly #observer: JobObserver;
  readonly #runs = new Map<Run, JobWithMetadata>();
  readonly #events = new EventEmitter();
  readonly #outage: OutageLog;
  readonly #ended: Promise<void>;
  #returned = 0;
  #isLate = false;
  #isClosed = false;
  readonly #isAwaited = () => !this.#isLate && (this.#runs.size > 0 || !this.#app.stopping.aborted);

  constructor(
    app: FastifyInstance,
    jobs: Map<string, Job>,
    observer: JobObserver,
    openDatabase: () => Promise<DatabaseDriver>,
  ) {
    this.#app = app;
    this.#jobs = jobs;
    this.#observer = observer;
    this.#outage = new OutageLog(app.log);
    this.#ended = this.#takeUntilStopped(openDatabase);
    app.stopping.addEventListener('abort', () => this.#returnLate());
  }

  list(): object[] {
    return Array.from(this.#runs.keys(), ({ name, id }) => ({ job: name, id }));
  }

  /** Call `app.stop` before. Resolves when no job runs. Rejects if it gave jobs back. */
  async close(): Promise<void> {
    await Promise.race([this.#ended, this.#waitForJobs()]);
    this.#isClosed = true;
    const returned = this.#returned;
    this.#returned = 0;
    if (returned > 0)
      throw new OperatorError(`Jobs given back, not done within SHUTDOWN_TIMEOUT_MS: ${returned}`);
  }

  async #takeUntilStopped(openDatabase: () => Promise<DatabaseDriver>): Promise<void> {
    const onError = (error: Error) => this.#outage.noteOwn(error);
    const start = async () => startBoss(await openDatabase(), onError, TAKER);
    const boss = await this.#outage.persist('start', start, this.#isAwaited);
    if (!boss) return;
    const beat = () => {
      const running = [...this.#runs.values()];
      void sendHeartbeats(boss, this.#app, listQueues(this.#jobs), running, this.#outage);
    };
    const beating = setInterval(beat, HEARTBEAT_S * 1_000);
    while (!this.#isStopping()) await this.#takeAll(boss);
    while (this.#runs.size > 0) await once(this.#events, 'ended');
    clearInterval(beating);
    await stopBoss(boss);
  }

  /** A database that hangs may answer nothing. Its jobs go to another worker then. */
  async #waitForJobs(): Promise<void> {
    do {
      while (this.#runs.size > 0) await once(this.#events, 'ended');
      if (!this.#isLate) await sleep(END_MS);
    } while (this.#runs.size > 0);
  }

  #returnLate(): void {
    const { SHUTDOWN_TIMEOUT_MS, SHUTDOWN_DELAY_MS } = this.#app.config;
    // A fifth of the time, at most two seconds, remains to give the late jobs back.
    const spareMs = Math.min(2_000, SHUTDOWN_TIMEOUT_MS / 5);
    const returnAll = () => {
      this.#isLate = true;
      for (const { controller } of this.#runs.keys()) controller.abort(RETURNED);
    };
    const timer = setTimeout(returnAll, SHUTDOWN_TIMEOUT_MS - SHUTDOWN_DELAY_MS - spareMs);
    this.#ended.finally(() => clearTimeout(timer));
  }

  #isStopping(): boolean {
    return this.#app.stopping.aborted || this.#app.readiness.draining;
  }

  async #takeAll(boss: PgBoss): Promise<void> {
    const { WORKER_CONCURRENCY } = this.#app.config;
    let taken = 0;
    for (const queue of await this.#listReady(boss)) {
      while (this.#runs.size >= WORKER_CONCURRENCY) await once(this.#events, 'ended');
      if (this.#isStopping()) return;
      const batchSize = WORKER_CONCURRENCY - this.#runs.size;
      const fetched = boss.fetch<object>(queue, { batchSize, includeMetadata: true });
      const found = (await this.#outage.watch(queue, fetched)) ?? [];
      // The process ends. Without heartbeats, another worker takes these jobs.
      if (this.#isClosed) return;
      taken += found.length;
      for (const queued of found) void this.#perform(boss, queued);
    }
    const signal = this.#app.stopping;
    if (taken === 0) await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
  }

  async #listReady(boss: PgBoss): Promise<string[]> {
    const queues = listQueues(this.#jobs);
    const ready = await this.#outage.watch('queues', findReady(boss, queues));
    // If one of the others was missing, it exists again.
    if (ready) for (const queue of queues) if (!ready.includes(queue)) this.#outage.end(queue);
    return ready ?? [];
  }

  async #perform(boss: PgBoss, queued: JobWithMetadata<object>): Promise<void> {
    const run = { ...readQueued(queued, this.#jobs), controller: new AbortController() };
    // The answer of the database may have come after the deadline.
    if (this.#isLate) run.controller.abort(RETURNED);
    this.#runs.set(run, queued);
    const save = async (result: Result) => {
      const store = () => storeResult(boss, this.#app, queued, { ...result, attempt: run.attempt });
      const isStored = await this.#outage.persist(`${run.id} end`, store, this.#isAwaited);
      const log = this.#app.log.child({ job: run.name, id: run.id });
      if (isStored === undefined) log.error('The result of the job could not be stored');
      if (isStored === false) log.warn('The job was cancelled, or another worker has it');
      else if (result.outcome === 'returned' || !isStored) this.#returned += 1;
      return isStored === true;
    };
    await this.#observer.run(run, () => runJob(this.#app, run, save));
    this.#runs.delete(run);
    this.#events.emit('ended');
  }
}
