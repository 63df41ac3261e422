import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Migration } from 'kysely/migration';

/** The app's own migrations. */
export const MIGRATIONS = fileURLToPath(new URL('../../src/migrations/', import.meta.url));

export interface AppMigration extends Migration {
  /** False for what cannot run in a transaction, such as `create index concurrently`. */
  transaction?: boolean;
}

/** By name: the file's name without its ending. */
export type Migrations = Record<string, AppMigration>;

/**
 * The files of a folder, but for what an editor hides beside them.
 * An app whose last migration was removed has no folder any more: git keeps no empty ones.
 */
export async function listFiles(folder: string): Promise<string[]> {
  const files = await readdir(folder).catch((error) =>
    error.code === 'ENOENT' ? [] : Promise.reject(error),
  );
  return files.filter((file) => /^[^.].*(?<!\.d)\.m?[jt]s$/.test(file));
}

export async function readMigrations(folder: string): Promise<Migrations> {
  const migrations: Migrations = {};
  for (const file of await listFiles(folder))
    migrations[path.parse(file).name] = await load(path.join(folder, file));
  return migrations;
}

/** Node does not say in which file a mistake is. */
async function load(file: string): Promise<AppMigration> {
  try {
    return await import(pathToFileURL(file).href);
  } catch (cause) {
    throw new Error(`${file} cannot be loaded: ${(cause as Error).message}`, { cause });
  }
}
