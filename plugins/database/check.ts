import type { Kysely } from 'kysely';
import type { Pool } from 'pg';
import { findPendingMigrations } from './migrate.ts';

/** The SQLSTATE of a server that answers, but has no connection to spare. */
const TOO_MANY_CONNECTIONS = '53300';

/** A database is up when it answers and has every migration; a pool that is busy says nothing of it. */
export function createCheck<Tables>(
  db: Kysely<Tables>,
  migrations: string,
  pool?: Pool,
  spare: Kysely<Tables> = db,
): () => Promise<void> {
  return async () => {
    const isBusy = pool && pool.idleCount === 0 && pool.totalCount >= pool.options.max;
    const pending = await findPendingMigrations(isBusy ? spare : db, migrations).catch((error) =>
      isBusy && error.code === TOO_MANY_CONNECTIONS ? [] : Promise.reject(error),
    );
    if (pending.length > 0)
      throw new Error(`Migrations are pending: ${pending.join(', ')}. Run npm run release.`);
  };
}
