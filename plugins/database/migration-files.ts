import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Migration } from 'kysely/migration';
import { importFile } from '../../src/import-file.ts';
import { isCode } from '../../src/list-files.ts';

export const MIGRATIONS = fileURLToPath(new URL('../../src/migrations/', import.meta.url));

export interface AppMigration extends Migration {
  /** False if it cannot run in a transaction, such as `create index concurrently`. */
  transaction?: boolean;
}

/** The files by their names without the ending. A missing folder counts as empty. */
export async function listMigrations(folder: string): Promise<Map<string, string>> {
  const files = existsSync(folder) ? (await readdir(folder)).filter(isCode) : [];
  return new Map(files.map((file) => [path.parse(file).name, path.join(folder, file)]));
}

export const loadMigration = (file: string): Promise<AppMigration> =>
  importFile(pathToFileURL(file));
