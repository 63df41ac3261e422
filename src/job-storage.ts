import { setTimeout as sleep } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import type { ConstructorOptions, JobWithMetadata, PgBoss, UpdateOptions } from 'pg-boss';
import type { DatabaseDriver, Tables } from '../plugins/database/index.ts';
import type { Job } from '../plugins/jobs.ts';
import type { Headers, Result } from './job-run.ts';

/** The suffix of a job's second queue, for its schedule: each tick is run, without a key. */
export const CLOCK = '/clock';

/** How long the queue keeps a job that was given up, in seconds; the others are kept for a day. */
const FAILED_RETENTION_S = 7 * 24 * 60 * 60;

/** How often a worker says that it runs a job, in seconds; silent for three times, it is dead. */
export const HEARTBEAT_S = 5;

/** The worker counts attempts: a job given back is none. So pg-boss never gives up first. */
export const RETRY_LIMIT = 100_000;

/** How long a job waits for the embedded database's one connection, in milliseconds. */
const CONNECTION_TIMEOUT_MS = 5_000;

/** Makes the tables: `release`, and the embedded database. */
export const OWNER: ConstructorOptions = { migrate: true, bamIntervalSeconds: 10 };

/** Looks for jobs of killed workers each 20 s, and for ticks of the clock each 10 s. */
export const TAKER: ConstructorOptions = {
  supervise: true,
  superviseIntervalSeconds: 20,
  monitorIntervalSeconds: 20,
  maintenanceIntervalSeconds: 60 * 60,
  schedule: true,
  cronMonitorIntervalSeconds: 10,
  cronWorkerIntervalSeconds: 2,
};

/**
 * Starts pg-boss on the app's own connections, its tables in the schema `pgboss`. Without options
 * it sends jobs, changes no table and asks the database for nothing in between.
 */
export async function startBoss(
  driver: DatabaseDriver,
  onError: (error: Error) => void,
  options: ConstructorOptions = {},
): Promise<PgBoss> {
  const { fromPglite, PgBoss } = await import('pg-boss');
  const isEmbedded = 'pglite' in driver;
  const boss = new PgBoss({
    backend: isEmbedded ? 'pglite' : 'postgres',
    db: isEmbedded
      ? fromPglite(driver.pglite)
      : { executeSql: (text, values) => driver.pool.query(text, values) },
    migrate: false,
    supervise: false,
    schedule: false,
    reindex: false,
    registerInstance: false,
    monitorVacuum: false,
    openTelemetry: { enabled: false },
    ...options,
  });
  // Of what its workers meet, pg-boss tells a copy, which is no Error.
  boss.on('error', (error) =>
    onError(error instanceof Error ? error : Object.assign(new Error(), error)),
  );
  return boss.start().catch(async (error) => {
    await stopBoss(boss);
    throw error;
  });
}

/** Leaves the app's connections open. */
export async function stopBoss(boss: PgBoss | undefined): Promise<void> {
  await boss?.stop({ graceful: false, close: false });
}

/** A send inside a transaction, but not as a part of it, would wait for itself. */
export async function waitForConnection(driver: DatabaseDriver): Promise<void> {
  if (!('pglite' in driver)) return;
  const late = sleep(CONNECTION_TIMEOUT_MS, undefined, { ref: false }).then(() => {
    throw new Error(
      'A transaction holds the one connection of the embedded database. ' +
        'Inside it, send the job with { transaction }.',
    );
  });
  await Promise.race([driver.pglite.query('select 1'), late]);
}

/** The queues that jobs are taken from. */
export function listQueues(jobs: Map<string, Job>): string[] {
  return [...jobs].flatMap(([name, { schedule }]) => (schedule ? [name, name + CLOCK] : [name]));
}

/** What the queue keeps of a job; without headers it is the payload alone. */
export function putHeaders(payload: object, headers: Headers): object {
  if (Object.keys(headers).length === 0) return payload;
  return { '/headers': headers, '/payload': payload };
}

/** A job that was taken. A tick has no payload, what others queued may be no object. */
export function readQueued({ id, name, data, retryCount, retryLimit }: JobWithMetadata<unknown>) {
  const { '/headers': headers, '/payload': payload } = Object(data);
  return {
    id,
    name: name.replace(CLOCK, ''),
    // Each time that a job was given back, one more retry was allowed.
    attempt: retryCount + 1 - (retryLimit - RETRY_LIMIT),
    ...(headers ? { headers, payload } : { headers: {}, payload: data ?? {} }),
  };
}

/** Tells the queue how a run ended. It keeps an error's name: the message may tell a secret. */
export async function settle(
  boss: PgBoss,
  db: Kysely<Tables>,
  { name, id, retryCount, retryLimit }: JobWithMetadata,
  { outcome, err }: Result,
): Promise<object> {
  const attempt = { id, retryCount };
  if (outcome === 'done') return boss.complete(name, attempt);
  const { fromKysely } = await import('pg-boss');
  const output = { error: err?.name };
  // No other worker may take the job between two of these steps.
  return db.transaction().execute(async (transaction) => {
    const inside = { db: fromKysely(transaction) };
    const update = (changes: UpdateOptions) =>
      boss.update(name, undefined, { ...inside, id, ...changes });
    const retry = await boss.fail(name, attempt, output, inside);
    if (outcome === 'retry') return retry;
    if (outcome === 'returned') return update({ startAfter: 0, retryLimit: retryLimit + 1 });
    const limits = { retryLimit: retryCount, deleteAfterSeconds: FAILED_RETENTION_S };
    const { updated } = await update(limits);
    // Now it waits for its retry, so find it by its id alone. Another worker may have it.
    if (updated > 0) await boss.fail(name, id, output, inside);
    return retry;
  });
}
