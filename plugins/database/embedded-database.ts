import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import type { messages, PGlite } from '@electric-sql/pglite';
import type { FastifyBaseLogger } from 'fastify';
import { Kysely, PGliteDialect } from 'kysely';
import { OperatorError } from '../../src/operator-error.ts';
import { applyMigrations } from './migrate.ts';
import type { SqlError } from './translate-error.ts';

/**
 * PostgreSQL inside this process, for development: PGlite, in the folder that the URL names or in memory
 * (pglite:memory). The first query opens it, and it migrates and prepares itself then.
 *
 * @throws where PGlite is not installed, as after `npm prune --omit=dev`
 */
export function createEmbeddedDatabase(
  url: string,
  log: FastifyBaseLogger,
  prepare: (pglite: PGlite) => Promise<string[]>,
): { dialect: PGliteDialect; isSqlError(error: Error): error is SqlError } {
  const module = resolvePGlite();
  const folder = url.slice('pglite:'.length);
  let DatabaseError: typeof messages.DatabaseError | undefined;
  const dialect = new PGliteDialect({
    pglite: async () => {
      if (folder !== 'memory') await prepareFolder(folder, module, log);
      const { PGlite, messages } = await import('@electric-sql/pglite');
      const pglite = await PGlite.create(folder === 'memory' ? 'memory://' : folder);
      DatabaseError = messages.DatabaseError;
      const applied = await applyMigrations(new Kysely({ dialect: new PGliteDialect({ pglite }) }));
      applied.push(...(await prepare(pglite)));
      log.info({ applied }, `The embedded database is open in ${folder}`);
      return pglite;
    },
  });
  const isSqlError = (error: Error): error is SqlError =>
    DatabaseError !== undefined && error instanceof DatabaseError;
  return { dialect, isSqlError };
}

function resolvePGlite(): string {
  try {
    return import.meta.resolve('@electric-sql/pglite');
  } catch (cause) {
    const message =
      'DATABASE_URL names the embedded database, which is for development and is not installed here. ' +
      'Set DATABASE_URL to a postgres:// URL, or run npm ci to install the development dependencies.';
    throw new OperatorError(message, { cause });
  }
}

async function prepareFolder(
  folder: string,
  module: string,
  log: FastifyBaseLogger,
): Promise<void> {
  await lock(folder);
  if (existsSync(folder)) return;
  log.info(
    `Creating the embedded database in ${folder}: what needs it waits for some seconds, once`,
  );
  await create(module, folder);
}

/** PGlite has no lock of its own, and two processes in one folder destroy what is in it. */
async function lock(folder: string): Promise<void> {
  const file = `${folder}.lock`;
  await mkdir(path.dirname(file), { recursive: true });
  const owner = Number(await readFile(file, 'utf8').catch(() => 0));
  if (owner && owner !== process.pid && isAlive(owner)) {
    throw new Error(
      `Process ${owner} has the embedded database in ${folder} open. Stop it, or delete ${file}.`,
    );
  }
  await writeFile(file, String(process.pid));
  process.once('exit', () => rmSync(file, { force: true }));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * PGlite's creation blocks its thread, so it gets one of its own; and what a killed process leaves half done must not
 * be taken for a database, so it gets its name when it is whole.
 */
async function create(module: string, folder: string): Promise<void> {
  const unfinished = `${folder}.new`;
  await rm(unfinished, { recursive: true, force: true });
  const script = `
    const { workerData } = require('node:worker_threads');
    import(workerData.module).then(({ PGlite }) => PGlite.create(workerData.folder)).then((pglite) => pglite.close());
  `;
  const worker = new Worker(script, { eval: true, workerData: { module, folder: unfinished } });
  await once(worker, 'exit');
  await rename(unfinished, folder);
}
