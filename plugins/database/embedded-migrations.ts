import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { FastifyBaseLogger } from 'fastify';
import { type Kysely, sql } from 'kysely';
import { OperatorError } from '../../src/operator-error.ts';
import { RESET } from './embedded-folder.ts';
import { applyMigrations, listApplied } from './migrate.ts';
import { listFiles, readMigrations } from './migration-files.ts';

/**
 * Migrates the embedded database as a release does, and makes up for what happens in development: a
 * migration that is still being written is done again where no row is lost by that.
 *
 * @returns the names of the migrations applied
 * @throws {OperatorError} which says what to do
 */
export async function migrateEmbedded(
  db: Kysely<unknown>,
  folder: string,
  log: FastifyBaseLogger,
): Promise<string[]> {
  const files = await listFiles(folder);
  const sources = await readSources(folder, files);
  const stored = await readStored(db);
  const names = await listApplied(db);
  const known = new Set(files.map((file) => path.parse(file).name));
  const others = names.filter((name) => !known.has(name)).join(', ');
  const told = others && `The embedded database has migrations of other code: ${others}. `;
  const edited = names.filter((name) => sources.has(name) && stored.has(name));
  const changed = edited.filter((name) => stored.get(name) !== sources.get(name)).sort();
  try {
    if (changed.length > 0) await redo(db, folder, changed);
    const applied = await applyMigrations(db, folder);
    await store(db, sources);
    if (told) log.warn(`${told}In the way? ${RESET}`);
    return [...changed, ...applied];
  } catch (error) {
    const { message, cause } = error as Error;
    throw new OperatorError(`${message}. ${told}Correct it, or: ${RESET}`, { cause });
  }
}

/**
 * A hash of each migration's code by its name; spaces do not count, for formatting changes them.
 * Compiled code (.js) is left out: it differs from its source without a change.
 */
async function readSources(folder: string, files: string[]): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  for (const file of files.filter((name) => !name.endsWith('.js'))) {
    const code = (await readFile(path.join(folder, file), 'utf8')).replaceAll(/\s/g, '');
    sources.set(path.parse(file).name, createHash('sha256').update(code).digest('hex'));
  }
  return sources;
}

async function readStored(db: Kysely<unknown>): Promise<Map<string, string>> {
  await sql`create table if not exists kysely_migration_source
    (name text primary key, source text not null)`.execute(db);
  const { rows } = await sql<{ name: string; source: string }>`
    select name, source from kysely_migration_source`.execute(db);
  return new Map(rows.map(({ name, source }) => [name, source]));
}

async function store(db: Kysely<unknown>, sources: Map<string, string>): Promise<void> {
  for (const [name, source] of sources)
    await sql`insert into kysely_migration_source values (${name}, ${source})
      on conflict (name) do update set source = excluded.source`.execute(db);
}

async function redo(db: Kysely<unknown>, folder: string, names: string[]): Promise<void> {
  const migrations = await readMigrations(folder);
  const failure = `Migration ${names.join(', ')} was changed after it was applied`;
  await db.transaction().execute(async (transaction) => {
    const before = await readRows(transaction);
    try {
      for (const name of names.toReversed()) await migrations[name]?.down?.(transaction);
      for (const name of names) await migrations[name]?.up(transaction);
    } catch (cause) {
      throw new Error(`${failure}: ${(cause as Error).message}`, { cause });
    }
    const after = await readRows(transaction);
    if ([...before].some(([table, rows]) => after.get(table) !== rows))
      throw new Error(`${failure}: to do it again would lose rows`);
  });
}

/** A hash of the rows of each table that has some. */
async function readRows(db: Kysely<unknown>): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const { schema = '', name } of await db.introspection.getTables()) {
    const { rows } = await sql<{ hash: string | null }>`
      select md5(string_agg(t::text, ',' order by t::text)) as hash
      from ${sql.table(`${schema}.${name}`)} t`.execute(db);
    if (rows[0]?.hash) hashes.set(`${schema}.${name}`, rows[0].hash);
  }
  return hashes;
}
