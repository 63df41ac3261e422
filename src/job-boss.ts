import { AsyncLocalStorage } from 'node:async_hooks';
import createError from '@fastify/error';
import type { Transaction } from 'kysely';
import type { ConstructorOptions, PgBoss } from 'pg-boss';
import manifest from 'pg-boss/package.json' with { type: 'json' };
import type { DatabaseDriver, Tables } from '../plugins/database/index.ts';

export const SCHEMA_VERSION = manifest.pgboss.schema;

export const NotReleased = createError<[string, ErrorOptions?]>(
  'JOBS_NOT_RELEASED',
  '%s. Run npm run release.',
  503,
);

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

/** The transaction for all queries of pg-boss: its methods' own option `db` gets only some. */
export const transactions = new AsyncLocalStorage<Transaction<Tables> | undefined>();

/** Starts pg-boss on the app's connections. Rejects with NotReleased for missing or old tables. */
export async function startBoss(
  driver: DatabaseDriver,
  onError: (error: Error) => void,
  options: ConstructorOptions = {},
): Promise<PgBoss> {
  const { fromKysely, fromPglite, PgBoss } = await import('pg-boss');
  const isEmbedded = 'pglite' in driver;
  const own = isEmbedded
    ? fromPglite(driver.pglite)
    : { executeSql: (text: string, values?: unknown[]) => driver.pool.query(text, values) };
  const executeSql = (text: string, values?: unknown[]) => {
    const transaction = transactions.getStore();
    return (transaction ? fromKysely(transaction) : own).executeSql(text, values);
  };
  const create = (migrate: boolean) =>
    new PgBoss({
      backend: isEmbedded ? 'pglite' : 'postgres',
      db: { executeSql },
      migrate,
      supervise: false,
      schedule: false,
      reindex: false,
      registerInstance: false,
      monitorVacuum: false,
      openTelemetry: { enabled: false },
      ...options,
    });
  const boss = create(!options.migrate && (await isNewer(create(false))));
  // For errors of its workers, pg-boss emits a copy that is not an Error.
  boss.on('error', (error) =>
    onError(error instanceof Error ? error : Object.assign(new Error(), error)),
  );
  return boss.start().catch(async (error) => {
    await stopBoss(boss);
    throw error;
  });
}

/** True after a rollback to older code: pg-boss accepts newer tables if it may migrate them. */
async function isNewer(boss: PgBoss): Promise<boolean> {
  if (!(await boss.isInstalled())) throw new NotReleased('The job queue is not installed');
  const version = Number(await boss.schemaVersion());
  if (version < SCHEMA_VERSION) throw new NotReleased('The job queue has older tables');
  return version > SCHEMA_VERSION;
}

/** Opens a pg-boss that only sends jobs. It is stopped, so it sends no queries of its own. */
export async function openSender(driver: DatabaseDriver): Promise<PgBoss> {
  const boss = await startBoss(driver, () => undefined);
  await stopBoss(boss);
  return boss;
}

export async function stopBoss(boss: PgBoss): Promise<void> {
  await boss.stop({ graceful: false, close: false });
}
