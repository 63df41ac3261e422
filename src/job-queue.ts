import { randomUUID } from 'node:crypto';
import createError from '@fastify/error';
import type { FastifyInstance } from 'fastify';
import { type Kysely, sql } from 'kysely';
import type { PgBoss } from 'pg-boss';
import type { DatabaseDriver, Tables } from '../plugins/database/index.ts';
import type { Job, Jobs, SendOptions } from '../plugins/jobs.ts';
import { NotReleased, openSender, stopBoss, transactions } from './job-boss.ts';
import { checkOptions, compileJob, readPayload } from './job-catalog.ts';
import { checkSchedules, findMissing, prepareQueues, startOwner } from './job-release.ts';
import { type JobObserver, runJob, UNOBSERVED } from './job-run.ts';
import { putHeaders, QUEUE_NOT_FOUND } from './job-storage.ts';
import { JobTaker } from './job-taker.ts';

const UnknownJob = createError<[string, string]>(
  'UNKNOWN_JOB',
  'There is no job named %s. These are there: %s.',
);

/** The app's jobs: queues them in the database, runs them, and takes queued ones if asked to. */
export class JobQueue {
  readonly #app: FastifyInstance;
  readonly #jobs: Map<string, Job>;
  #driver: DatabaseDriver | undefined;
  #sender: PgBoss | undefined;
  #taker: JobTaker | undefined;
  #observer = UNOBSERVED;
  #isPrepared = false;

  constructor(app: FastifyInstance, jobs: Map<string, Job>) {
    this.#app = app;
    this.#jobs = jobs;
    this.#driver = app.databasePool && { pool: app.databasePool };
  }

  /**
   * Queues a job. Gives its id, or null if a job with the same key already waits. Rejects before
   * anything is queued if the name, the payload or the options are wrong, and with NotReleased, a
   * 503, if release has not made the job's queue yet.
   */
  async send<Name extends keyof Jobs>(
    name: Name,
    payload: Jobs[Name],
    // Without a key, the queue would let only one job wait.
    { after = 0, key = randomUUID(), transaction }: SendOptions = {},
  ): Promise<string | null> {
    const { data } = this.check(name, payload);
    checkOptions(name, after, key);
    const options = {
      singletonKey: key,
      startAfter: after instanceof Date ? after : Math.ceil(after) / 1_000,
    };
    return this.#observer.send(name, async (headers) => {
      const driver = await this.#openDatabase(transaction);
      return transactions.run(transaction, async () => {
        // Do not share the promise: it may wait for the connection of another transaction.
        this.#sender ??= await openSender(driver);
        return this.#sender.send(name, putHeaders(data, headers), options).catch(rejectUnknown);
      });
    });
  }

  /** Runs a job once, in this process, and rejects with its error. Nothing is queued. */
  async run<Name extends keyof Jobs>(name: Name, payload: Jobs[Name]): Promise<void> {
    const { job, data } = this.check(name, payload);
    const once = { name, id: randomUUID(), attempt: 1, payload: data, headers: {} };
    const run = { ...once, job: { ...job, retries: 0 }, controller: new AbortController() };
    const { err } = await this.#observer.run(run, () => runJob(this.#app, run));
    if (err) throw err;
  }

  /** @throws if there is no such job, or the payload does not fit */
  check(name: string, payload: unknown): { job: Job; data: object } {
    const job = this.#jobs.get(name);
    if (!job) throw new UnknownJob(name, [...this.#jobs.keys()].sort().join(', '));
    return { job, data: readPayload(name, job, payload) };
  }

  observe(observer: JobObserver): void {
    this.#observer = observer;
  }

  take(): void {
    this.#taker ??= new JobTaker(this.#app, this.#jobs, this.#observer, () => this.#openDatabase());
  }

  list(): object[] {
    return this.#taker?.list() ?? [];
  }

  /** Call `app.stop` before. Waits until no job runs. Rejects with the number of returned jobs. */
  async close(): Promise<void> {
    await this.#taker?.close();
  }

  /** Throws if a job's schema or schedule is wrong. At each start, this would be too slow. */
  async checkAll(): Promise<void> {
    for (const [name, job] of this.#jobs) compileJob(name, job);
    await checkSchedules(this.#jobs);
  }

  /** Creates the queues in the database, at a release or when the embedded database opens. */
  async prepare(driver: DatabaseDriver): Promise<string[]> {
    await this.checkAll();
    const { log } = this.#app;
    const boss = await startOwner(driver, log);
    const steps = await prepareQueues(boss, this.#jobs, log).finally(() => stopBoss(boss));
    if ('pglite' in driver) this.#driver = driver;
    return steps;
  }

  /** What `prepare` still has to do. It queries only until that is nothing. */
  async findMissing(db: Kysely<unknown>): Promise<string[]> {
    if (this.#isPrepared) return [];
    const missing = await findMissing(db, this.#jobs);
    this.#isPrepared = missing.length === 0;
    return missing;
  }

  /** Its driver is known after a query. pg-boss would wait for its connection without a limit. */
  async #openDatabase(db: Kysely<Tables> = this.#app.db): Promise<DatabaseDriver> {
    if (!this.#app.databasePool) await sql`select 1`.execute(db);
    return this.#driver as DatabaseDriver;
  }
}

function rejectUnknown(cause: Error & { code?: string }): never {
  throw cause.code === QUEUE_NOT_FOUND ? new NotReleased(cause.message, { cause }) : cause;
}
