import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger } from 'fastify';
import { type Kysely, sql } from 'kysely';
import { type AppMigration, listMigrations, loadMigration } from './migration-files.ts';
import type { SqlError } from './translate-error.ts';

/** How long a migration waits for another session, in milliseconds: traffic waits behind it. */
const LOCK_TIMEOUT_MS = 5_000;

/** How often a waiting release asks, in milliseconds: to block would stop the other's index. */
const POLL_MS = 250;

/** How often it has asked when it says so: another release mostly takes less than two seconds. */
const POLLS_UNTIL_TOLD = 8;

/** Any number that no other lock of the app has: this is "poort" in ASCII. */
const LOCK_ID = 0x706f6f7274;

/** Whatever its tables are. */
// biome-ignore lint/suspicious/noExplicitAny: a Kysely of other tables is no Kysely<unknown>.
export type Database = Kysely<any>;

type Migrations = Map<string, AppMigration>;

/**
 * Applies the migrations that the database lacks, in the order of their names: those in
 * transactions all or none, the others one by one. One caller at a time, by a lock that ends with
 * its transaction: Kysely's Migrator leaves its own to the session, which poolers share.
 *
 * @returns their names; an error has the name of the one that failed
 */
export async function applyMigrations(
  db: Database,
  folder: string,
  log: FastifyBaseLogger,
): Promise<string[]> {
  const migrations: Migrations = new Map();
  for (const [name, file] of await listMigrations(folder))
    migrations.set(name, await loadMigration(file));
  const applied: string[] = [];
  for (;;) {
    const names = await applyNext(db, migrations, log);
    if (names.length === 0) return applied;
    applied.push(...names);
  }
}

/** The names of those that the database does not have yet, in order. */
export async function findPending(
  db: Database,
  migrations: Map<string, unknown>,
): Promise<string[]> {
  const { rows } = await sql`select to_regclass('kysely_migration') as found`.execute(db);
  const hasTable = (rows[0] as { found: unknown }).found !== null;
  const applied = hasTable ? await readApplied(db) : [];
  const names = new Set(applied.map(({ name }) => name));
  return [...migrations.keys()].filter((name) => !names.has(name)).sort();
}

/** The migrations that the database has, whether they are the code's or not. */
export async function readApplied(db: Database): Promise<Applied[]> {
  return (await sql<Applied>`select * from kysely_migration`.execute(db)).rows;
}

interface Applied {
  name: string;
  /** A hash of its code, in the embedded database. */
  source?: string | null;
}

/** Applies the next ones that belong together; none where none is left. */
async function applyNext(
  db: Database,
  migrations: Migrations,
  log: FastifyBaseLogger,
): Promise<string[]> {
  const isAlone = (name: string) => migrations.get(name)?.transaction === false;
  const [next] = await findPending(db, migrations);
  if (next === undefined) return [];
  const { supportsMultipleConnections } = db.getExecutor().adapter;
  // The embedded database has one connection, and one process.
  if (isAlone(next) && !supportsMultipleConnections) return run(db, migrations, [next]);
  return runLocked(db, log, async (transaction) => {
    const pending = await findPending(transaction, migrations);
    const alone = pending.findIndex(isAlone);
    if (alone === 0) {
      // A limit would end an index that is made concurrently by any transaction that lasts longer,
      // and leave it invalid. While it waits for that, it keeps nobody else waiting.
      log.info(
        `Migration ${pending[0]} runs without a transaction: it waits for locks without a limit`,
      );
      return run(db, migrations, pending.slice(0, 1));
    }
    return run(transaction, migrations, pending.slice(0, alone < 0 ? undefined : alone));
  });
}

/** Runs what two releases must not do at once, in a transaction that has the lock. */
export async function runLocked(
  db: Database,
  log: FastifyBaseLogger,
  work: (transaction: Database) => Promise<string[]>,
): Promise<string[]> {
  for (let polls = 1; ; polls++) {
    const done = await db
      .transaction()
      .execute(async (transaction) => ((await lock(transaction)) ? work(transaction) : undefined));
    if (done) return done;
    if (polls === POLLS_UNTIL_TOLD)
      log.info(await findHolder(db), 'Waiting for another release, whose session has the lock');
    await sleep(POLL_MS);
  }
}

/** The session that has the lock: its process in the database, and since when it has it. */
async function findHolder(db: Database): Promise<object> {
  const { rows } = await sql<object>`
    select pid as "holderPid", xact_start as "since"
    from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted
      and (classid::bigint << 32) + objid::bigint = ${sql.lit(LOCK_ID)}`.execute(db);
  return { ...rows[0] };
}

/** All that is set ends with the transaction: behind a pooler, the session is another one's too. */
async function lock(transaction: Database): Promise<boolean> {
  const { rows } = await sql<{ locked: boolean }>`
    select pg_try_advisory_xact_lock(${sql.lit(LOCK_ID)}) as locked,
      set_config('lock_timeout', ${String(LOCK_TIMEOUT_MS)}, true),
      set_config('statement_timeout', '0', true),
      set_config('idle_in_transaction_session_timeout', '0', true)`.execute(transaction);
  return rows[0]?.locked === true;
}

async function run(db: Database, migrations: Migrations, names: string[]): Promise<string[]> {
  await createTable(db);
  for (const name of names) {
    try {
      await migrations.get(name)!.up(db);
    } catch (cause) {
      throw describeFailure(name, cause, db.isTransaction);
    }
    const row = sql`${name}, ${new Date().toISOString()}`;
    await sql`insert into kysely_migration values (${row})`.execute(db);
  }
  return names;
}

/** The table of Kysely's Migrator, so that its other tools know what was applied. */
export async function createTable(db: Database): Promise<void> {
  await sql`create table if not exists kysely_migration
    (name varchar(255) primary key, "timestamp" varchar(255) not null)`.execute(db);
}

function describeFailure(name: string, cause: unknown, isUndone: boolean): Error {
  // A migration can throw anything.
  const { code, message = cause } = (cause ?? {}) as Partial<SqlError>;
  const end = isUndone
    ? 'the schema is as before'
    : 'it runs without a transaction, see what it left';
  const reason =
    code === '55P03'
      ? `waited ${LOCK_TIMEOUT_MS} ms for a lock of another session; ${end}. Run it again`
      : `failed: ${message}; ${end}`;
  return new Error(`Migration ${name} ${reason}`, { cause });
}
