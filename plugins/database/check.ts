import { Kysely, PostgresDialect } from 'kysely';
import type { Pool } from 'pg';
import { type Database, findPending } from './migrate.ts';
import { listMigrations } from './migration-files.ts';

/** The SQLSTATE of a server that answers, but has no connection to spare. */
const TOO_MANY_CONNECTIONS = '53300';

/**
 * A database is up when it answers and has every migration, also where neither the pool nor the
 * server has another connection. Where the pool is full, `spare` is asked.
 */
export function createCheck(
  db: Database,
  migrations: string,
  pool?: Pool,
  spare?: Pool,
): () => Promise<void> {
  let used = 0;
  pool?.on('acquire', () => used++).on('release', () => used--);
  const beside = spare && new Kysely<unknown>({ dialect: new PostgresDialect({ pool: spare }) });
  return async () => {
    const isFull = pool && pool.idleCount === 0 && pool.totalCount >= pool.options.max;
    const asked = (isFull && beside) || db;
    const pending = await findPending(asked, await listMigrations(migrations)).catch((error) =>
      used > 0 && error.code === TOO_MANY_CONNECTIONS ? [] : Promise.reject(error),
    );
    if (pending.length > 0)
      throw new Error(`Migrations are pending: ${pending.join(', ')}. Run npm run release.`);
  };
}
