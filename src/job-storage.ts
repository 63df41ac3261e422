import { setTimeout as sleep } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import type { ConstructorOptions, JobWithMetadata, PgBoss, UpdateOptions } from 'pg-boss';
import type { DatabaseDriver, Tables } from '../plugins/database/index.ts';
import type { Job } from '../plugins/jobs.ts';
import type { Headers, Result } from './job-run.ts';

/** The suffix of a job's queue for its schedule. It has no keys, so it keeps each scheduled run. */
export const CLOCK = '/clock';

/** How long the queue keeps a failed job, in seconds. It keeps the others for a day. */
const FAILED_RETENTION_S = 7 * 24 * 60 * 60;

/** Seconds between heartbeats of a running job. If three are missing, its worker counts as dead. */
export const HEARTBEAT_S = 5;

/** High, so that pg-boss never gives up first: the worker counts attempts, except returned jobs. */
export const RETRY_LIMIT = 100_000;

/** How long a job waits for the embedded database's one connection, in milliseconds. */
const CONNECTION_TIMEOUT_MS = 5_000;

/** Options that create the tables, for `release` and the embedded database. */
export const OWNER: ConstructorOptions = { migrate: true, bamIntervalSeconds: 10 };

/** Options that look for jobs of killed workers every 20 s, and for schedules every 10 s. */
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
 * Starts pg-boss on the app's own connections, with its tables in the schema `pgboss`. Without
 * options it only sends jobs: it changes no table and sends no queries of its own.
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
  // For errors of its workers, pg-boss emits a copy that is not an Error.
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

/**
 * Rejects after a timeout if a transaction holds the embedded database's one connection. A send
 * inside of that transaction, but without it, would wait forever.
 */
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

/** The data that the queue stores for a job. Without headers it is the payload itself. */
export function putHeaders(payload: object, headers: Headers): object {
  if (Object.keys(headers).length === 0) return payload;
  return { '/headers': headers, '/payload': payload };
}

/** Reads a queued job. A scheduled run has no payload, and other programs may queue non-objects. */
export function readQueued({ id, name, data, retryCount, retryLimit }: JobWithMetadata<unknown>) {
  const { '/headers': headers, '/payload': payload } = Object(data);
  return {
    id,
    name: name.replace(CLOCK, ''),
    // Each return of the job has raised retryLimit by one.
    attempt: retryCount + 1 - (retryLimit - RETRY_LIMIT),
    ...(headers ? { headers, payload } : { headers: {}, payload: data ?? {} }),
  };
}

/**
 * Stores the result of a run in the queue. It stores only the name of an error, because the message
 * may contain a secret.
 */
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
    // The job now waits for its retry, so it is found by id only. Another worker may have it.
    if (updated > 0) await boss.fail(name, id, output, inside);
    return retry;
  });
}
