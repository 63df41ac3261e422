import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import createError from '@fastify/error';
import type { Ajv } from 'ajv';
import type { FastifyInstance } from 'fastify';
import { sql } from 'kysely';
import type { PgBoss } from 'pg-boss';
import type { DatabaseDriver } from '../plugins/database/index.ts';
import type { Job, Jobs, SendOptions } from '../plugins/jobs.ts';
import { createAjv } from '../plugins/validation/checks.ts';
import { putHeaders } from './job-headers.ts';
import { type JobObserver, logResult, type Run, runJob, UNOBSERVED } from './job-run.ts';
import { JobTaker } from './job-taker.ts';

const UnknownJob = createError<[string, string]>(
  'UNKNOWN_JOB',
  'There is no job named %s. These are there: %s.',
);
const BadPayload = createError<[string, string]>(
  'BAD_PAYLOAD',
  'The payload of the job %s does not fit: %s.',
);

/** How long a job that is sent waits for the embedded database's one connection, in milliseconds. */
const CONNECTION_TIMEOUT_MS = 5_000;

/** The app's jobs: sends them through the database, runs them, and takes them where that is asked for. */
export class JobQueue {
  readonly #app: FastifyInstance;
  readonly #jobs: Map<string, Job>;
  readonly #ajv: Ajv = createAjv();
  #driver: DatabaseDriver | undefined;
  #sender: Promise<PgBoss> | undefined;
  #taker: JobTaker | undefined;
  #observer = UNOBSERVED;

  constructor(app: FastifyInstance, jobs: Map<string, Job>) {
    this.#app = app;
    // A payload may come from an older version of its job.
    const entries = [...jobs].map(([name, job]): [string, Job] => {
      const run: Job['run'] = async (given) => {
        this.check(name, given.payload);
        return job.run(given);
      };
      return [name, { ...job, run }];
    });
    this.#jobs = new Map(entries);
    this.#driver = app.databasePool && { pool: app.databasePool };
  }

  /**
   * Queues a job for a worker.
   *
   * @returns its id, or null where one with the same key waits already
   * @throws where there is no such job or the payload does not fit its schema: nothing is queued then
   */
  async send<Name extends keyof Jobs>(
    name: Name,
    payload: Jobs[Name],
    { after, key, transaction }: SendOptions = {},
  ): Promise<string | null> {
    const { data } = this.check(name, payload);
    const sender = await this.#openSender();
    if (!transaction) await this.#waitForConnection();
    const { fromKysely } = await import('pg-boss');
    const options = {
      // Of the jobs without a key, the queue would let one wait.
      singletonKey: key ?? randomUUID(),
      ...(after !== undefined && { startAfter: after instanceof Date ? after : after / 1_000 }),
      ...(transaction && { db: fromKysely(transaction) }),
    };
    return this.#observer.send(name, (headers) =>
      sender.send(name, putHeaders(data, headers), options),
    );
  }

  /** Runs a job here, once, and rejects with what it throws. Nothing is queued. */
  async run<Name extends keyof Jobs>(name: Name, payload: Jobs[Name]): Promise<void> {
    const { job, data } = this.check(name, payload);
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

  /** Shows each job that is sent or run from now on to an observer, in place of the one before it. */
  observe(observer: JobObserver): void {
    this.#observer = observer;
  }

  /** Takes jobs from now on, until the app is closed. */
  take(): void {
    this.#taker ??= new JobTaker(
      this.#app,
      this.#jobs,
      () => this.#open(),
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
    await (await this.#sender)?.stop({ graceful: false, close: false });
  }

  /** Makes the queues in the database: see src/job-storage.ts. */
  async prepare(driver: DatabaseDriver): Promise<string[]> {
    const { createBoss, OWNER, prepareQueues } = await import('./job-storage.ts');
    const boss = createBoss(driver, OWNER, (err) => this.#app.log.error({ err }, err.message));
    // The embedded database opens here, before a transaction can hold its one connection.
    const isEmbedded = 'pglite' in driver;
    if (isEmbedded) [this.#driver, this.#sender] = [driver, Promise.resolve(boss)];
    try {
      return await prepareQueues(boss, this.#jobs);
    } finally {
      if (!isEmbedded) await boss.stop({ graceful: false, close: false });
    }
  }

  /**
   * The job of this name, and its payload as the queue keeps it.
   *
   * @throws where there is no such job, or the payload does not fit
   */
  check(name: string, payload: unknown): { job: Job; data: object } {
    const job = this.#jobs.get(name);
    if (!job) throw new UnknownJob(name, [...this.#jobs.keys()].sort().join(', '));
    const data: object = JSON.parse(JSON.stringify(payload ?? {}));
    if (!this.#ajv.validate<object>(job.schema, data))
      throw new BadPayload(name, this.#ajv.errorsText(this.#ajv.errors, { dataVar: 'payload' }));
    return { job, data };
  }

  async #open(): Promise<DatabaseDriver> {
    if (!this.#driver) await sql`select 1`.execute(this.#app.db);
    return this.#driver as DatabaseDriver;
  }

  async #openSender(): Promise<PgBoss> {
    const driver = await this.#open();
    this.#sender ??= startSender(driver, this.#app);
    return this.#sender.catch((error) => {
      this.#sender = undefined;
      throw error;
    });
  }

  /** A send inside a transaction, but not as a part of it, would wait for itself. */
  async #waitForConnection(): Promise<void> {
    if (!this.#driver || !('pglite' in this.#driver)) return;
    const late = sleep(CONNECTION_TIMEOUT_MS, undefined, { ref: false }).then(() => {
      throw new Error(
        'A transaction holds the one connection of the embedded database. Inside it, send the job with { transaction }.',
      );
    });
    await Promise.race([this.#driver.pglite.query('select 1'), late]);
  }
}

async function startSender(driver: DatabaseDriver, { log }: FastifyInstance): Promise<PgBoss> {
  const { createBoss, SENDER } = await import('./job-storage.ts');
  return createBoss(driver, SENDER, (err) => log.debug({ err }, err.message)).start();
}
