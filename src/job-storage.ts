import type { Kysely } from 'kysely';
import {
  type ConstructorOptions,
  fromKysely,
  fromPglite,
  type JobWithMetadata,
  PgBoss,
  type UpdateOptions,
} from 'pg-boss';
import type { DatabaseDriver, Tables } from '../plugins/database/index.ts';
import type { Job } from '../plugins/jobs.ts';
import type { Result } from './job-run.ts';

/** The suffix of a job's second queue, for its schedule: each tick is run, without a key. */
export const CLOCK = '/clock';

/** How long the queue keeps a job that was given up, in seconds; the others are kept for a day. */
const FAILED_RETENTION_S = 7 * 24 * 60 * 60;

/** How often a worker says that it runs a job, in seconds; silent for three times, it is dead. */
export const HEARTBEAT_S = 5;

/** The worker counts attempts: a job given back is none. So pg-boss never gives up first. */
export const RETRY_LIMIT = 100_000;

/** Sends jobs, and asks the database for nothing in between. It changes no table. */
export const SENDER: ConstructorOptions = {
  migrate: false,
  reindex: false,
  persistQueueStats: false,
  supervise: false,
  schedule: false,
};

/** Makes the tables: `release`, and the embedded database. */
export const OWNER: ConstructorOptions = { ...SENDER, migrate: true, bamIntervalSeconds: 10 };

/** Looks for jobs of killed workers each 20 s, and for ticks of the clock each 10 s. */
export const TAKER: ConstructorOptions = {
  ...SENDER,
  supervise: true,
  superviseIntervalSeconds: 20,
  monitorIntervalSeconds: 20,
  maintenanceIntervalSeconds: 60 * 60,
  schedule: true,
  cronMonitorIntervalSeconds: 10,
  cronWorkerIntervalSeconds: 2,
};

/** pg-boss on the app's own connections, its tables in the schema `pgboss`; not started yet. */
export function createBoss(
  driver: DatabaseDriver,
  options: ConstructorOptions,
  onError: (error: Error) => void,
): PgBoss {
  const isEmbedded = 'pglite' in driver;
  const boss = new PgBoss({
    backend: isEmbedded ? 'pglite' : 'postgres',
    db: isEmbedded
      ? fromPglite(driver.pglite)
      : { executeSql: (text, values) => driver.pool.query(text, values) },
    registerInstance: false,
    monitorVacuum: false,
    openTelemetry: { enabled: false },
    ...options,
  });
  return boss.on('error', onError);
}

/** The queues that a job is taken from. */
export function listQueues([name, { schedule }]: [string, Job]): string[] {
  return schedule ? [name, name + CLOCK] : [name];
}

/** The job that is taken from a queue. */
export function readJobName(queue: string): string {
  return queue.replace(CLOCK, '');
}

/** Tells the queue how a run ended. It keeps an error's name: the message may tell a secret. */
export async function settle(
  boss: PgBoss,
  db: Kysely<Tables>,
  { name, id, retryCount, retryLimit }: JobWithMetadata,
  { outcome, err }: Result,
): Promise<void> {
  const attempt = { id, retryCount };
  if (outcome === 'done') return void (await boss.complete(name, attempt));
  // No other worker may take the job between two of these steps.
  await db.transaction().execute(async (transaction) => {
    const inside = { db: fromKysely(transaction) };
    const output = { error: err?.name };
    const update = (changes: UpdateOptions) =>
      boss.update(name, undefined, { ...inside, id, ...changes });
    await boss.fail(name, attempt, output, inside);
    if (outcome === 'returned') await update({ startAfter: 0, retryLimit: retryLimit + 1 });
    if (outcome !== 'failed') return;
    const limits = { retryLimit: retryCount, deleteAfterSeconds: FAILED_RETENTION_S };
    const { updated } = await update(limits);
    // Now it waits for its retry, so find it by its id alone. Another worker may have it.
    if (updated > 0) await boss.fail(name, id, output, inside);
  });
}
