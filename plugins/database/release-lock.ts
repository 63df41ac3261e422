import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import { sql } from 'kysely';
import type { Database } from './migrate.ts';

/** How long a migration waits for a lock, in milliseconds. Other traffic waits behind it. */
export const LOCK_TIMEOUT_MS = 5_000;

/** Milliseconds between tries. A waiting query blocks another's `create index concurrently`. */
const POLL_MS = 250;

const POLLS_UNTIL_LOGGED = 8;

/** No other lock of the app may have this number. It is "poort" in ASCII. */
const LOCK_ID = 0x706f6f7274;

/** Runs work in a transaction with a lock, so that two releases never do it at the same time. */
export async function runLocked(
  db: Database,
  log: FastifyBaseLogger,
  work: (transaction: Database) => Promise<string[]>,
): Promise<string[]> {
  for (let polls = 1; ; polls++) {
    const done = await db
      .transaction()
      // At a higher level, `create index concurrently` would wait for the end of this transaction.
      .setIsolationLevel('read committed')
      .execute(async (transaction) => ((await lock(transaction)) ? work(transaction) : undefined));
    if (done) return done;
    if (polls === POLLS_UNTIL_LOGGED) {
      const holder = await findHolder(db).catch((err) => ({ err }));
      log.info(holder, 'Waiting for another release to give up the lock');
    }
    await sleep(POLL_MS);
  }
}

async function findHolder(db: Database): Promise<object> {
  const { rows } = await sql<object>`
    select pid as "holderPid", xact_start as "since"
    from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and datname = current_database()
      and (classid::bigint << 32) + objid::bigint = ${sql.lit(LOCK_ID)}`.execute(db);
  return { ...rows[0] };
}

/**
 * A bound parameter would keep the snapshot during the work, and pg-boss's
 * `create index concurrently` would wait for it.
 */
async function lock(transaction: Database): Promise<boolean> {
  const { rows } = await sql<{ locked: boolean }>`
    select pg_try_advisory_xact_lock(${sql.lit(LOCK_ID)}) as locked`.execute(transaction);
  if (!rows[0]?.locked) return false;
  await setLimits(transaction);
  return true;
}

/** The limits end with the transaction: poolers share sessions. No bound parameters, as above. */
export async function setLimits(transaction: Database): Promise<void> {
  await sql`
    select set_config('lock_timeout', ${sql.lit(String(LOCK_TIMEOUT_MS))}, true),
      set_config('statement_timeout', '0', true),
      set_config('idle_in_transaction_session_timeout', '0', true)`.execute(transaction);
}
