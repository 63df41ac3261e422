import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Kysely } from 'kysely';
import { FileMigrationProvider, Migrator } from 'kysely/migration';

/** The app's own migrations. */
export const MIGRATIONS = fileURLToPath(new URL('../../src/migrations/', import.meta.url));

/**
 * Applies the migrations of src/migrations that the database does not have yet, all or none, while a lock in the
 * database keeps a second caller waiting.
 *
 * @returns the names of the migrations applied, in order
 * @throws the first migration's error, with its name in the message
 */
export async function applyMigrations<Tables>(
  db: Kysely<Tables>,
  folder = MIGRATIONS,
): Promise<string[]> {
  const { error, results = [] } = await createMigrator(db, folder).migrateToLatest();
  const failed = results.find(({ status }) => status === 'Error');
  if (failed)
    throw new Error(`Migration ${failed.migrationName} failed; the schema is as before`, {
      cause: error,
    });
  if (error) throw error;
  return results.map(({ migrationName }) => migrationName);
}

/** The names of the migrations that the database does not have yet. */
export async function findPendingMigrations<Tables>(
  db: Kysely<Tables>,
  folder = MIGRATIONS,
): Promise<string[]> {
  const migrations = await createMigrator(db, folder).getMigrations();
  return migrations.filter(({ executedAt }) => !executedAt).map(({ name }) => name);
}

function createMigrator<Tables>(db: Kysely<Tables>, migrationFolder: string): Migrator {
  const provider = new FileMigrationProvider({
    fs: { readdir: listMigrations },
    path,
    migrationFolder,
    // Windows paths are no module specifiers.
    import: (file: string) => import(pathToFileURL(file).href),
  });
  return new Migrator({ db, provider });
}

/** An app whose last migration was removed has no folder any more: git keeps no empty ones. */
async function listMigrations(folder: string): Promise<string[]> {
  return readdir(folder).catch((error) => (error.code === 'ENOENT' ? [] : Promise.reject(error)));
}
