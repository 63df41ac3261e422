import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { JobWithMetadata, PgBoss } from 'pg-boss';
import type { DatabaseDriver } from '../plugins/database/index.ts';
import type { Job } from '../plugins/jobs.ts';
import { readHeaders } from './job-headers.ts';
import { JobOutage } from './job-outage.ts';
import { type JobObserver, logResult, RETURNED, type Run, runJob } from './job-run.ts';
import { OperatorError } from './operator-error.ts';

/** How long the queues are left alone when nothing is in them, in milliseconds. */
const POLL_MS = 1_000;

type Storage = typeof import('./job-storage.ts');

interface Taken {
  queued: JobWithMetadata;
  run: Run;
}

/** Takes jobs from all queues, WORKER_CONCURRENCY at once, and tells the queue how they ended. */
export class JobTaker {
  readonly #app: FastifyInstance;
  readonly #jobs: Map<string, Job>;
  readonly #observe: JobObserver['run'];
  readonly #taken = new Map<string, Taken>();
  readonly #events = new EventEmitter();
  readonly #stop = new AbortController();
  readonly #ended: Promise<unknown>;
  readonly #outage: JobOutage;
  #returned = 0;
  #isLate = false;

  constructor(
    app: FastifyInstance,
    jobs: Map<string, Job>,
    openDatabase: () => Promise<DatabaseDriver>,
    observe: JobObserver['run'],
  ) {
    this.#app = app;
    this.#jobs = jobs;
    this.#observe = observe;
    this.#outage = new JobOutage(app.log);
    this.#ended = this.#start(openDatabase);
  }

  /** The jobs that run. */
  list(): object[] {
    return [...this.#taken.values()].map(({ queued: { name, id } }) => ({ job: name, id }));
  }

  /**
   * Takes no more, and resolves when no job runs any more. What runs still after `withinMs` is
   * given back.
   *
   * @throws an error that says how many were given back
   */
  async close(withinMs: number): Promise<void> {
    this.#stop.abort();
    const timer = setTimeout(() => this.#giveUp(), withinMs);
    await this.#ended;
    clearTimeout(timer);
    const message = `Jobs given back, which took longer than SHUTDOWN_TIMEOUT_MS: ${this.#returned}`;
    const isComplete = this.#returned === 0;
    this.#returned = 0;
    if (!isComplete) throw new OperatorError(message);
  }

  #giveUp(): void {
    this.#isLate = true;
    for (const { run } of this.#taken.values()) run.controller.abort(RETURNED);
  }

  async #start(openDatabase: () => Promise<DatabaseDriver>): Promise<void> {
    const storage = await import('./job-storage.ts');
    const queues = [...this.#jobs].flatMap(storage.listQueues);
    const driver = await this.#persist(openDatabase);
    if (!driver) return;
    const boss = storage.createBoss(driver, storage.TAKER, (error) => this.#outage.report(error));
    await this.#persist(() => boss.start());
    const beat = setInterval(() => this.#beat(boss, queues), storage.HEARTBEAT_S * 1_000);
    while (!this.#isStopping()) await this.#takeAll(boss, storage, queues);
    while (this.#taken.size > 0) await once(this.#events, 'ended');
    clearInterval(beat);
    await boss.stop({ graceful: false, close: false });
  }

  #isStopping(): boolean {
    return this.#stop.signal.aborted || this.#app.readiness.draining;
  }

  /** Goes through the queues once, and waits a moment where they are empty. */
  async #takeAll(boss: PgBoss, storage: Storage, queues: string[]): Promise<void> {
    let taken = 0;
    let problem: unknown;
    for (const queue of queues) {
      const free = await this.#waitForSlot();
      if (this.#isStopping()) return;
      const options = { batchSize: free, includeMetadata: true } as const;
      const found = await boss.fetch<object>(queue, options).catch((error) => {
        problem = error;
        return [];
      });
      taken += found.length;
      for (const queued of found) void this.#perform(boss, storage, queued);
    }
    this.#outage.report(problem as Error | undefined);
    const { signal } = this.#stop;
    if (taken === 0) await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  }

  /** @returns how many jobs may begin */
  async #waitForSlot(): Promise<number> {
    const { signal } = this.#stop;
    const { WORKER_CONCURRENCY } = this.#app.config;
    while (this.#taken.size >= WORKER_CONCURRENCY && !signal.aborted)
      await once(this.#events, 'ended', { signal }).catch(() => undefined);
    return WORKER_CONCURRENCY - this.#taken.size;
  }

  async #perform(boss: PgBoss, storage: Storage, queued: JobWithMetadata): Promise<void> {
    const run = this.#describe(queued, storage);
    this.#taken.set(run.id, { queued, run });
    const result = await this.#observe(run, async () => {
      const result = await runJob(run);
      await this.#persist(() => storage.settle(boss, this.#app.db, queued, result));
      logResult(run, result);
      return result;
    });
    if (result.outcome === 'returned') this.#returned += 1;
    this.#taken.delete(run.id);
    this.#events.emit('ended');
  }

  #describe(
    { id, name: queue, data, retryCount, retryLimit }: JobWithMetadata<object>,
    storage: Storage,
  ): Run {
    const name = storage.readJobName(queue);
    // Each time that a job was given back, one more retry was allowed.
    const returns = retryLimit - storage.RETRY_LIMIT;
    return {
      app: this.#app,
      name,
      job: this.#jobs.get(name) as Job,
      id,
      attempt: retryCount + 1 - returns,
      ...readHeaders(data),
      log: this.#app.log.child({ job: name, id }),
      controller: new AbortController(),
    };
  }

  /** Says that the worker still runs its jobs. */
  async #beat(boss: PgBoss, queues: string[]): Promise<void> {
    const taken = [...this.#taken.values()].map(({ queued }) => queued);
    for (const queue of queues) {
      const own = taken.filter(({ name }) => name === queue);
      if (own.length > 0) await boss.touch(queue, own).catch((error) => this.#outage.report(error));
    }
  }

  #persist<Result>(attempt: () => Promise<Result>): Promise<Result | undefined> {
    const isAwaited = () => !this.#isLate && (this.#taken.size > 0 || !this.#stop.signal.aborted);
    return this.#outage.persist(attempt, isAwaited);
  }
}
