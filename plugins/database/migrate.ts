import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { listFiles, MIGRATIONS, type Migrations, readMigrations } from './migration-files.ts';
import type { SqlError } from './translate-error.ts';

/** How long a migration waits for another session, in milliseconds: traffic waits behind it. */
const LOCK_TIMEOUT_MS = 5_000;

/**
 * How often a waiting release asks, in milliseconds: a blocking lock would stop the other's index.
 */
const POLL_MS = 250;

/**
 * Applies the migrations of src/migrations that the database does not have yet, in the order of
 * their names: those in transactions all or none, those without one by one. One caller at a time,
 * by a lock that ends with its transaction.
 *
 * @returns the names of the migrations applied, in order
 * @throws the first migration's error, with its name in the message
 */
export async function applyMigrations<Tables>(
  db: Kysely<Tables>,
  folder = MIGRATIONS,
): Promise<string[]> {
  const migrations = await readMigrations(folder);
  const applied: string[] = [];
  for (;;) {
    const names = await applyNext(db, migrations);
    if (names.length === 0) return applied;
    applied.push(...names);
  }
}

/** The names of the migrations that the database does not have yet, in order. */
export async function findPendingMigrations<Tables>(
  db: Kysely<Tables>,
  folder = MIGRATIONS,
): Promise<string[]> {
  const names = (await listFiles(folder)).map((file) => path.parse(file).name);
  return findPending(db, names);
}

async function findPending<Tables>(db: Kysely<Tables>, names: string[]): Promise<string[]> {
  const applied = new Set(await listApplied(db));
  return names.filter((name) => !applied.has(name)).sort();
}

/** The names of the migrations that the database has, whether they are the code's or not. */
export async function listApplied<Tables>(db: Kysely<Tables>): Promise<string[]> {
  const { rows } = await sql`select to_regclass('kysely_migration') as found`.execute(db);
  if (!(rows[0] as { found: unknown }).found) return [];
  const applied = await sql<{ name: string }>`select name from kysely_migration`.execute(db);
  return applied.rows.map(({ name }) => name);
}

/** Applies the next ones that belong together; none where none is left. */
async function applyNext<Tables>(db: Kysely<Tables>, migrations: Migrations): Promise<string[]> {
  const next = await findNext(db, migrations);
  const { supportsMultipleConnections } = db.getExecutor().adapter;
  // The embedded database has one connection, and one process.
  if (next.length === 0 || (isAlone(next, migrations) && !supportsMultipleConnections))
    return run(db, migrations, next);
  return runLocked(db, async (transaction) => {
    const names = await findNext(transaction, migrations);
    return run(isAlone(names, migrations) ? db : transaction, migrations, names);
  });
}

/** The pending ones up to the next without a transaction, or that one alone. */
async function findNext<Tables>(db: Kysely<Tables>, migrations: Migrations): Promise<string[]> {
  const names = await findPending(db, Object.keys(migrations));
  const alone = names.findIndex((name) => isAlone([name], migrations));
  return alone < 0 ? names : names.slice(0, Math.max(alone, 1));
}

function isAlone([name = '']: string[], migrations: Migrations): boolean {
  return migrations[name]?.transaction === false;
}

/** Runs what two releases must not do at once, in a transaction that has the lock. */
export async function runLocked<Tables, Result>(
  db: Kysely<Tables>,
  work: (transaction: Kysely<Tables>) => Promise<Result>,
): Promise<Result> {
  for (;;) {
    const done = await db
      .transaction()
      .execute(async (transaction) =>
        (await lock(transaction)) ? { result: await work(transaction) } : undefined,
      );
    if (done) return done.result;
    await sleep(POLL_MS);
  }
}

/** All that is set ends with the transaction: behind a pooler, the session is another one's too. */
async function lock<Tables>(transaction: Kysely<Tables>): Promise<boolean> {
  const { rows } = await sql<{ locked: boolean }>`
    select pg_try_advisory_xact_lock(${sql.lit(LOCK_ID)}) as locked,
      set_config('lock_timeout', ${String(LOCK_TIMEOUT_MS)}, true),
      set_config('statement_timeout', '0', true),
      set_config('idle_in_transaction_session_timeout', '0', true)`.execute(transaction);
  return rows[0]?.locked === true;
}

/** Any number that no other lock of the app has: this is "poort" in ASCII. */
const LOCK_ID = 0x706f6f7274;

async function run<Tables>(
  db: Kysely<Tables>,
  migrations: Migrations,
  names: string[],
): Promise<string[]> {
  const last = names.at(-1);
  if (!last) return [];
  // Kysely refuses names that the code lacks: those of newer code or of another branch.
  const others = (await listApplied(db)).map((name) => [name, { up: async () => undefined }]);
  const provider = {
    getMigrations: async () => ({ ...Object.fromEntries(others), ...migrations }),
  };
  const migrator = new Migrator({
    db,
    provider,
    allowUnorderedMigrations: true,
    disableTransactions: !db.isTransaction,
  });
  const { error, results = [] } = await migrator.migrateTo(last);
  const failed = results.find(({ status }) => status === 'Error')?.migrationName;
  if (failed) throw describeFailure(failed, error, db.isTransaction);
  if (error) throw error;
  return names;
}

function describeFailure(name: string, cause: unknown, isUndone: boolean): Error {
  // A migration can throw anything.
  const { code, message = cause } = (cause ?? {}) as Partial<SqlError>;
  const isLock = code === '55P03';
  const reason = isLock
    ? `waited ${LOCK_TIMEOUT_MS} ms for a lock of another session`
    : `failed: ${message}`;
  const rest = isUndone
    ? 'the schema is as before'
    : 'it runs without a transaction, see what it left';
  return new Error(`Migration ${name} ${reason}; ${rest}${isLock ? '. Run it again' : ''}`, {
    cause,
  });
}
