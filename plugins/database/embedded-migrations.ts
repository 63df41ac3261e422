import { readFile } from 'node:fs/promises';
import type { FastifyBaseLogger as Log } from 'fastify';
import { sql } from 'kysely';
import { OperatorError } from '../../src/operator-error.ts';
import { RESET } from './embedded-folder.ts';
import { applyMigrations, createTable, type Database } from './migrate.ts';
import { type AppMigration, listMigrations, loadMigration } from './migration-files.ts';

const MINIFIED = { loader: 'ts', minifyWhitespace: true, legalComments: 'none' } as const;

/** Migrates as a release does. A changed migration runs again if no row is lost or changed. */
export async function migrateEmbedded(db: Database, folder: string, log: Log): Promise<string[]> {
  const files = await listMigrations(folder);
  const current = await readCode(files);
  const stored = await readStoredCode(db);
  const names = [...stored.keys()].sort();
  const unknown = names.filter((name) => !files.has(name)).join(', ');
  const hint = unknown && `The embedded database has migrations of other code: ${unknown}. `;
  const differs = (name: string) => stored.get(name) !== current.get(name);
  const edited = names.filter((name) => stored.get(name) && current.has(name) && differs(name));
  const changed = await findChanged(edited, stored, current);
  // Later migrations build on a changed one, so they run again too.
  const rerun = names.filter((name) => files.has(name) && name >= changed[0]!);
  try {
    if (changed.length > 0) await redo(db, files, rerun, changed);
    const applied = await applyMigrations(db, files, log);
    for (const [name, code] of current)
      if (differs(name) || rerun.includes(name))
        await sql`update kysely_migration set code = ${code} where name = ${name}`.execute(db);
    if (hint) log.warn(`${hint}If they cause trouble: ${RESET}`);
    return [...new Set([...changed, ...applied])];
  } catch (error) {
    const { message, cause } = error as Error;
    throw new OperatorError(`${message}. ${hint}Fix it, or: ${RESET}`, { cause });
  }
}

/** The code of each migration that the database has; empty if it was stored without it. */
async function readStoredCode(db: Database): Promise<Map<string, string>> {
  await createTable(db);
  await sql`alter table kysely_migration add column if not exists code text`.execute(db);
  const { rows } = await sql<{ name: string; code: string | null }>`
    select name, code from kysely_migration`.execute(db);
  return new Map(rows.map(({ name, code }) => [name, code ?? '']));
}

async function readCode(files: Map<string, string>): Promise<Map<string, string>> {
  const current = new Map<string, string>();
  for (const [name, file] of files)
    if (!file.endsWith('.js')) current.set(name, await readFile(file, 'utf8'));
  return current;
}

/** The names of those whose code differs, not only its format or its comments. */
async function findChanged(
  names: string[],
  before: Map<string, string>,
  after: Map<string, string>,
): Promise<string[]> {
  if (names.length === 0) return [];
  // biome-ignore lint/correctness/noUndeclaredDependencies: it is for development only.
  const { transformSync } = await import('esbuild');
  const minify = (code: string) => transformSync(code, MINIFIED).code;
  return names.filter((name) => {
    try {
      return minify(before.get(name)!) !== minify(after.get(name)!);
    } catch {
      // Loading it gives an error that names it.
      return true;
    }
  });
}

/** Leaves those from the first one that cannot run in a transaction pending. */
async function redo(
  db: Database,
  files: Map<string, string>,
  names: string[],
  changed: string[],
): Promise<void> {
  try {
    const load = async (name: string) => ({ name, ...(await loadMigration(files.get(name)!)) });
    const migrations = await Promise.all(names.map(load));
    const alone = migrations.findIndex((migration) => migration.transaction === false);
    const count = alone < 0 ? names.length : alone;
    await db.transaction().execute(async (transaction) => {
      const before = await hashRows(transaction);
      for (const migration of migrations.toReversed()) await undo(transaction, migration);
      for (const migration of migrations.slice(0, count)) await apply(transaction, migration);
      for (const name of names.slice(count))
        await sql`delete from kysely_migration where name = ${name}`.execute(transaction);
      const after = await hashRows(transaction);
      if ([...before].some(([table, rows]) => after.get(table) !== rows))
        throw new Error('running it again would lose or change rows');
    });
  } catch (cause) {
    const failure = `Migration ${changed.join(', ')} was changed after it was applied`;
    throw new Error(`${failure}: ${(cause as Error).message}`, { cause });
  }
}

type NamedMigration = AppMigration & { name: string };

/** What has no down is still there. */
async function apply(db: Database, { name, up, down }: NamedMigration): Promise<void> {
  try {
    await up(db);
  } catch (cause) {
    throw down ? cause : new Error(`${name} has no down: ${(cause as Error).message}`, { cause });
  }
}

async function undo(db: Database, { name, down }: NamedMigration): Promise<void> {
  try {
    await down?.(db);
  } catch (cause) {
    throw new Error(`the down of ${name} failed: ${(cause as Error).message}`, { cause });
  }
}

async function hashRows(db: Database): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const { schema = '', name, isView, columns } of await db.introspection.getTables()) {
    if (isView) continue;
    // In the order of their names: a column that is added again comes last.
    const names = columns.map((column) => column.name).sort();
    const row = sql`row(${sql.join(names.map((column) => sql`t.${sql.id(column)}`))})::text`;
    const { rows } = await sql<{ hash: string | null }>`
      select md5(string_agg(${row}, ',' order by ${row})) as hash
      from ${sql.table(`${schema}.${name}`)} t`.execute(db);
    if (rows[0]?.hash) hashes.set(`${schema}.${name}`, rows[0].hash);
  }
  return hashes;
}
