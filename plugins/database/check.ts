import { setTimeout as sleep } from 'node:timers/promises';
import { Kysely } from 'kysely';
import type { Pool } from 'pg';
import { isServerFull } from './database-errors.ts';
import type { FindMissing } from './index.ts';
import { type Database, findPending } from './migrate.ts';
import { isFull, watchUse } from './pool-use.ts';
import { createDialect } from './postgres-dialect.ts';

const LATE_MS = 500;

/**
 * Creates a check that rejects if the database is down, or not released. A full pool, pooler or
 * server is not down: the check uses `spare`, or the answers to other queries count.
 */
export function createCheck(
  db: Database,
  migrations: Map<string, string>,
  pool?: Pool,
  spare?: Pool,
  findMissing: FindMissing = async () => [],
): () => Promise<void> {
  let isEmbeddedOpen = false;
  let isReleased = false;
  const use = watchUse(pool);
  const spareDb = spare && new Kysely<unknown>({ dialect: createDialect(spare) });
  const pick = () => (pool && isFull(pool) && spareDb) || db;
  const find = async (checked: Database) => {
    try {
      const pending = await findPending(checked, migrations);
      if (pending.length === 0) pending.push(...(await findMissing(checked)));
      isReleased = pending.length === 0;
      return pending;
    } catch (error) {
      if (use.connections > 0 && isServerFull(error as Error)) return [];
      throw error;
    }
  };
  return async () => {
    if (isEmbeddedOpen) return;
    const startedAt = performance.now();
    const checked = pick();
    const found = find(checked);
    const late = sleep(LATE_MS, undefined, { ref: false });
    // DATABASE_DIRECT_URL may be away alone: then the answers to other queries count.
    const first = checked === db ? found : found.catch(() => late);
    let pending = await Promise.race([first, late]);
    if (!pending && isReleased && use.answeredAt > startedAt) pending = [];
    // Otherwise it would wait in the queue of a pool that is full by now.
    if (!pending && checked === db && pick() !== db) pending = await find(pick());
    pending ??= await found;
    if (pending.length > 0)
      throw new Error(`Migrations are pending: ${pending.join(', ')}. Run npm run release.`);
    isEmbeddedOpen = pool === undefined;
  };
}
