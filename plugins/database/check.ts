import { setTimeout as sleep } from 'node:timers/promises';
import { Kysely, PostgresDialect } from 'kysely';
import type { Pool } from 'pg';
import type { SqlError } from './database-errors.ts';
import { type Database, findPending } from './migrate.ts';
import { listMigrations } from './migration-files.ts';

/** How long a pooler may take before the server itself is asked, in milliseconds. */
const POOLER_TIMEOUT_MS = 300;

/**
 * Creates a check that rejects if the database is down or lacks a migration. A full pool, pooler or
 * server does not count as down. If the pool is full or the pooler is late, the check uses `spare`.
 * The embedded database has no pool. It is a part of this process, so it stays up once it is open,
 * also while it is busy.
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
    const names = await listMigrations(migrations);
    const isFull = pool && pool.idleCount === 0 && pool.totalCount >= pool.options.max;
    const find = (database: Database) => findPending(database, names);
    const found = isFull && spareDb ? find(spareDb) : askEither(find, db, spareDb);
    const pending = await found.catch((error) =>
      used > 0 && isServerFull(error) ? [] : Promise.reject(error),
    );
    if (pending.length > 0)
      throw new Error(`Migrations are pending: ${pending.join(', ')}. Run npm run release.`);
    isOpen = pool === undefined;
  };
}

/** Asks `spare` too if `db` is late. The first answer counts. */
async function askEither<Answer>(
  ask: (db: Database) => Promise<Answer>,
  db: Database,
  spare: Database | undefined,
): Promise<Answer> {
  const asked = ask(db);
  const isLate = sleep(POOLER_TIMEOUT_MS, true);
  const isDone = asked.then(
    () => false,
    () => false,
  );
  if (!spare || !(await Promise.race([isDone, isLate]))) return asked;
  return Promise.race([asked, ask(spare)]);
}

/** PostgreSQL or PgBouncer answers, but admits no more connections. PgBouncer has no own code. */
function isServerFull({ code, message }: SqlError): boolean {
  return code === '53300' || /connections allowed|connections exceeded/.test(message);
}
