import { randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { DatabaseDriver } from '../plugins/database/index.ts';
import type { Jobs, SendOptions } from '../plugins/jobs.ts';
import type { JobCatalog } from './job-catalog.ts';
import { putHeaders } from './job-headers.ts';
import { type JobObserver, logResult, type Run, runJob, UNOBSERVED } from './job-run.ts';
import { JobSender } from './job-sender.ts';
import { JobTaker } from './job-taker.ts';

/** The app's jobs: sends them through the database, runs them, takes them where asked to. */
export class JobQueue {
  readonly #app: FastifyInstance;
  readonly #catalog: JobCatalog;
  readonly #sender: JobSender;
  #taker: JobTaker | undefined;
  #observer = UNOBSERVED;

  constructor(app: FastifyInstance, catalog: JobCatalog) {
    this.#app = app;
    this.#catalog = catalog;
    this.#sender = new JobSender(app);
  }

  /**
   * Queues a job for a worker.
   *
   * @returns its id, or null where one with the same key waits already
   * @throws where there is no such job, or the payload or an option does not fit: nothing is queued
   * then
   */
  async send<Name extends keyof Jobs>(
    name: Name,
    payload: Jobs[Name],
    options: SendOptions = {},
  ): Promise<string | null> {
    const { data } = this.#catalog.check(name, payload);
    return this.#observer.send(name, (headers) =>
      this.#sender.send(name, putHeaders(data, headers), options),
    );
  }

  /** Runs a job here, once, and rejects with what it throws. Nothing is queued. */
  async run<Name extends keyof Jobs>(name: Name, payload: Jobs[Name]): Promise<void> {
    const { job, data } = this.#catalog.check(name, payload);
    const id = randomUUID();
    const log = this.#app.log.child({ job: name, id });
    const controller = new AbortController();
    const once = { ...job, retries: 0 };
    const given = { app: this.#app, name, job: once, id, payload: data, headers: {} };
    const run: Run = { ...given, attempt: 1, log, controller };
    const { err } = await this.#observer.run(run, async () => {
      const result = await runJob(run);
      logResult(run, result);
      return result;
    });
    if (err) throw err;
  }

  /** Shows each job that is sent or run from now on to this observer, and to no other. */
  observe(observer: JobObserver): void {
    this.#observer = observer;
  }

  /** Takes jobs from now on, until the app is closed. */
  take(): void {
    this.#taker ??= new JobTaker(
      this.#app,
      this.#catalog.jobs,
      () => this.#sender.open(),
      (run, next) => this.#observer.run(run, next),
    );
  }

  /** What runs here, for the log. */
  list(): object[] {
    return this.#taker?.list() ?? [];
  }

  /**
   * Takes no more, and waits for what runs; what is not done in time is given back.
   *
   * @throws an error that says how many were given back
   */
  async close(): Promise<void> {
    const { SHUTDOWN_TIMEOUT_MS, SHUTDOWN_DELAY_MS } = this.#app.config;
    // In a fifth of the time, or two seconds, the queue can be told what was not done.
    const spareMs = Math.min(2_000, SHUTDOWN_TIMEOUT_MS / 5);
    await this.#taker?.close(SHUTDOWN_TIMEOUT_MS - SHUTDOWN_DELAY_MS - spareMs);
    await this.#sender.close();
  }

  /** Makes the queues in the database: see src/job-release.ts. */
  async prepare(driver: DatabaseDriver): Promise<string[]> {
    const { createBoss, OWNER } = await import('./job-storage.ts');
    const { prepareQueues } = await import('./job-release.ts');
    const boss = createBoss(driver, OWNER, (err) => this.#app.log.error({ err }, err.message));
    const isEmbedded = 'pglite' in driver;
    if (isEmbedded) this.#sender.use(driver, boss);
    try {
      return await prepareQueues(boss, this.#catalog.jobs);
    } finally {
      if (!isEmbedded) await boss.stop({ graceful: false, close: false });
    }
  }

  /** @throws where there is no such job, or the payload does not fit */
  check(name: string, payload: unknown): void {
    this.#catalog.check(name, payload);
  }
}
