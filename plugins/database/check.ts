import { Kysely, PostgresDialect } from 'kysely';
import type { Pool } from 'pg';
import { type Database, findPending } from './migrate.ts';
import { listMigrations } from './migration-files.ts';

/** The SQLSTATE of a server that answers but has no free connection. */
const TOO_MANY_CONNECTIONS = '53300';

/**
 * Creates a check that rejects if the database is down or lacks a migration. A full pool or server
 * does not count as down. If the pool is full, the check uses `spare`. The embedded database has no
 * pool. It is a part of this process, so it stays up once it is open, also while it is busy.
 */
export function createCheck(
  db: Database,
  migrations: string,
  pool?: Pool,
  spare?: Pool,
): () => Promise<void> {
  let used = 0;
  let isOpen = false;
  pool?.on('acquire', () => used++).on('release', () => used--);
  const spareDb = spare && new Kysely<unknown>({ dialect: new PostgresDialect({ pool: spare }) });
  return async () => {
    if (isOpen) return;
    const isFull = pool && pool.idleCount === 0 && pool.totalCount >= pool.options.max;
    const checked = (isFull && spareDb) || db;
    const pending = await findPending(checked, await listMigrations(migrations)).catch((error) =>
      used > 0 && error.code === TOO_MANY_CONNECTIONS ? [] : Promise.reject(error),
    );
    if (pending.length > 0)
      throw new Error(`Migrations are pending: ${pending.join(', ')}. Run npm run release.`);
    isOpen = pool === undefined;
  };
}
