import type { FastifyBaseLogger } from 'fastify';
import { Kysely, sql } from 'kysely';
import type { Pool } from 'pg';
import { OperatorError } from '../../src/operator-error.ts';
import { hideSecrets } from '../../src/redaction.ts';
import { isPoolerRefusal, type SqlError } from './database-errors.ts';
import type { PrepareStep } from './index.ts';
import { type AppMigration, listMigrations, loadMigration } from './migration-files.ts';
import { createDialect } from './postgres-dialect.ts';
import { LOCK_TIMEOUT_MS, runLocked, setLimits } from './release-lock.ts';

// biome-ignore lint/suspicious/noExplicitAny: a Kysely of other tables is not a Kysely<unknown>.
export type Database = Kysely<any>;

interface Release {
  migrations: Map<string, AppMigration>;
  applied: string[];
  log: FastifyBaseLogger;
}

/** Applies the migrations, then runs `prepare` for libraries. Resolves with what was done. */
export async function releaseDatabase(
  pool: Pool,
  migrations: string,
  log: FastifyBaseLogger,
  prepare: PrepareStep,
): Promise<string[]> {
  const db = new Kysely<unknown>({ dialect: createDialect(pool) });
  const run = async () => {
    const files = await listMigrations(migrations);
    const pending = await findPending(db, files);
    if (pending.length > 0) log.info(`Applying ${pending.join(', ')}`);
    const applied = await applyMigrations(db, files, log);
    return [...applied, ...(await runLocked(db, log, () => prepare({ pool })))];
  };
  return run()
    .catch(rejectPooler)
    .finally(() => db.destroy());
}

/**
 * Applies the pending migrations in order: those in transactions all or none, others one by one.
 * The lock ends with its transaction: Kysely's Migrator locks a session, which a pooler shares.
 */
export async function applyMigrations(
  db: Database,
  files: Map<string, string>,
  log: FastifyBaseLogger,
): Promise<string[]> {
  const release: Release = { migrations: new Map(), applied: [], log };
  for (const [name, file] of files) release.migrations.set(name, await loadMigration(file));
  for (;;) {
    const names = await applyNext(db, release);
    if (names.length === 0) return release.applied;
    release.applied.push(...names);
  }
}

export async function findPending(db: Database, files: Map<string, unknown>): Promise<string[]> {
  const { rows } = await sql`select to_regclass('kysely_migration') as found`.execute(db);
  const hasTable = (rows[0] as { found: unknown }).found !== null;
  const read = sql<{ name: string }>`select name from kysely_migration`;
  const applied = hasTable ? (await read.execute(db)).rows : [];
  const names = new Set(applied.map(({ name }) => name));
  return [...files.keys()].filter((name) => !names.has(name)).sort();
}

async function applyNext(db: Database, release: Release): Promise<string[]> {
  const { migrations, log } = release;
  const isAlone = (name: string) => migrations.get(name)?.transaction === false;
  const [next] = await findPending(db, migrations);
  if (next === undefined) return [];
  const { supportsMultipleConnections } = db.getExecutor().adapter;
  // The embedded database has one connection and one process, so it needs no lock.
  if (isAlone(next) && !supportsMultipleConnections) return run(db, [next], release);
  return runLocked(db, log, async (transaction) => {
    const pending = await findPending(transaction, migrations);
    const alone = pending.findIndex(isAlone);
    if (alone !== 0)
      return run(transaction, pending.slice(0, alone < 0 ? undefined : alone), release);
    // `create index concurrently` blocks no traffic, and a limit could leave an invalid index.
    const consequence = 'it waits for locks without a limit';
    log.info(`Migration ${pending[0]} runs without a transaction: ${consequence}`);
    return run(db, pending.slice(0, 1), release);
  });
}

async function run(db: Database, names: string[], release: Release): Promise<string[]> {
  const { migrations, applied } = release;
  await createTable(db);
  for (const name of names) {
    try {
      const { up } = migrations.get(name)!;
      if (typeof up !== 'function')
        throw new Error('it exports no migration: its up is not a function');
      // An earlier one may have lifted the limits, as pg_dump's files do. They empty the path too.
      if (db.isTransaction) await setLimits(db);
      await up(db);
      await sql`reset search_path`.execute(db);
      const row = sql`${name}, ${new Date().toISOString()}`;
      await sql`insert into kysely_migration values (${row})`.execute(db);
    } catch (cause) {
      throw describeFailure(name, cause, db.isTransaction, applied);
    }
  }
  // A deferred constraint would fail at the commit, which names no migration.
  if (db.isTransaction)
    await sql`set constraints all immediate`.execute(db).catch((cause) => {
      throw describeFailure(names.join(', '), cause, true, applied);
    });
  return names;
}

/** Creates the table of Kysely's Migrator, so that Kysely's tools know what was applied. */
export async function createTable(db: Database): Promise<void> {
  await sql`create table if not exists kysely_migration
    (name varchar(255) primary key, "timestamp" varchar(255) not null)`.execute(db);
}

/** The error of an earlier query is lost, if nobody waits for it. */
const MISSING_AWAIT = ' (an earlier query of it failed: is an await missing?)';

function describeFailure(name: string, cause: unknown, isUndone: boolean, applied: string[]) {
  const { code, message = cause } = (cause ?? {}) as Partial<SqlError>;
  const left = isUndone ? [] : ['it ran without a transaction, so check what it left'];
  if (applied.length > 0) left.push(`applied before it: ${applied.join(', ')}`);
  const end = left.join('; ') || 'the schema is unchanged';
  // Hidden later, a value would take the rest of the line with it.
  const known = hideSecrets(`${message}`);
  const reason =
    code === '55P03'
      ? `got no lock within ${LOCK_TIMEOUT_MS} ms: another session has it; ${end}. Run it again`
      : `failed: ${known}${code === '25P02' ? MISSING_AWAIT : ''}; ${end}`;
  return new Error(`Migration ${name} ${reason}`, { cause });
}

/** For example, PgBouncer refuses a transaction in statement mode. */
function rejectPooler(cause: SqlError): never {
  if (!isPoolerRefusal(cause)) throw cause;
  const remedy = 'If DATABASE_URL is a pooler, set DATABASE_DIRECT_URL to the server itself';
  throw new OperatorError(`${cause.message}. ${remedy}`, { cause });
}
