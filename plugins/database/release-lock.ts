import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import { sql } from 'kysely';
import type { Database } from './migrate.ts';

/** How long a migration waits for a lock, in milliseconds. Other traffic waits behind it. */
export const LOCK_TIMEOUT_MS = 5_000;

/** How often the server checks whether a busy release still lives, in milliseconds. */
const CONNECTION_CHECK_MS = 1_000;

/** Milliseconds between tries. A waiting query blocks another's `create index concurrently`. */
const POLL_MS = 250;

/** How many tries pass before a log line. Another release mostly takes less than two seconds. */
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
      // If the other release cannot be looked up, log that and go on waiting.
      const holder = await findHolder(db).catch((err) => ({ err }));
      log.info(holder, 'Waiting for another release to give up the lock');
    }
    await sleep(POLL_MS);
  }
}

/** The session that has the lock: its process id in the database, and when it took the lock. */
async function findHolder(db: Database): Promise<object> {
  const { rows } = await sql<object>`
    select pid as "holderPid", xact_start as "since"
    from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and datname = current_database()
      and (classid::bigint << 32) + objid::bigint = ${sql.lit(LOCK_ID)}`.execute(db);
  return { ...rows[0] };
}

/** Tries to lock. The settings end with the transaction, because a pooler shares sessions. */
async function lock(transaction: Database): Promise<boolean> {
  const { rows } = await sql<{ locked: boolean }>`
    select pg_try_advisory_xact_lock(${sql.lit(LOCK_ID)}) as locked`.execute(transaction);
  await configure(transaction, LOCK_TIMEOUT_MS, true);
  return rows[0]?.locked === true;
}

/** Runs work on one connection, with the settings of a release but no limit for locks. */
export function runUnlimited<Result>(
  db: Database,
  work: (session: Database) => Promise<Result>,
): Promise<Result> {
  return db.connection().execute(async (session) => {
    await configure(session, 0, false);
    try {
      return await work(session);
    } finally {
      // A lost connection has lost its settings too.
      await sql`reset all`.execute(session).catch(() => undefined);
    }
  });
}

/** Overrides the limits of the role. A server that lacks one of these settings ignores it. */
async function configure(db: Database, lockTimeout: number, isLocal: boolean): Promise<void> {
  const settings = {
    lock_timeout: lockTimeout,
    statement_timeout: 0,
    transaction_timeout: 0,
    idle_in_transaction_session_timeout: 0,
    // The server ends the statements of a release that was killed. Their lock is gone by then.
    client_connection_check_interval: CONNECTION_CHECK_MS,
  };
  // A server on another system may refuse to check the connection.
  await sql`
    select set_config(name, value, ${isLocal})
    from json_each_text(${JSON.stringify(settings)}::json) as given (name, value)
    join pg_settings using (name)
    where name <> 'client_connection_check_interval' or version() like '%linux%'`.execute(db);
}
