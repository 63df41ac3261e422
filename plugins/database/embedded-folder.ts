import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import type { FastifyBaseLogger } from 'fastify';
import { OperatorError } from '../../src/operator-error.ts';

/** The remedy for an embedded database that cannot be used. */
export const RESET =
  'Stop npm run dev and run npm run db:reset: it moves the database aside, deletes nothing, ' +
  'and the next start creates a new one.';

export function cannotOpen(folder: string, cause: Error, remedy: string): OperatorError {
  const reason = `The embedded database in ${folder} cannot be opened: ${cause.message}`;
  return new OperatorError(`${reason}. ${remedy}`, { cause });
}

/** Locks the folder until the process ends, and creates the database if it does not exist. */
export async function prepareFolder(
  folder: string,
  module: string,
  log: FastifyBaseLogger,
): Promise<void> {
  try {
    await lockFolder(folder);
    const files = await readdir(folder).catch(ignoreMissing);
    if (files?.includes('PG_VERSION')) return;
    if (files?.length) throw new OperatorError(`${folder} is not a complete database. ${RESET}`);
    log.info(`Creating the embedded database in ${folder}: this takes some seconds, only once`);
    await create(module, folder);
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    const remedy = 'Fix that, or name another folder in DATABASE_URL.';
    throw cannotOpen(folder, error as Error, remedy);
  }
}

/** Locks the folder. PGlite does not, and two processes in one folder destroy the database. */
export async function lockFolder(folder: string): Promise<void> {
  const file = `${folder}.lock`;
  const next = `${file}.next`;
  await mkdir(path.dirname(file), { recursive: true });
  // This process may have the lock already, because it retries a database that failed to open.
  if ((await readOwner(file)) === process.pid) return;
  // Only the process that creates this file may take the lock. The file then becomes the lock.
  const created = await open(next, 'wx').catch((error) => {
    const reason = `Another process is about to open the embedded database in ${folder}`;
    const remedy = `try again. If there is no such process, remove ${next}.`;
    throw error.code === 'EEXIST' ? new OperatorError(`${reason}: ${remedy}`) : error;
  });
  try {
    const owner = await readOwner(file);
    if (owner > 0 && isAlive(owner)) throw new OperatorError(describeOwner(owner, folder));
    await created.writeFile(String(process.pid));
    await rename(next, file);
  } catch (error) {
    await rm(next);
    throw error;
  } finally {
    await created.close();
  }
  process.once('exit', () => rmSync(file, { force: true }));
}

function describeOwner(owner: number, folder: string): string {
  return (
    `Process ${owner} has the embedded database in ${folder} open. Only one process can use it. ` +
    `Stop that process first (npm run dev?). If it is another program now, remove ${folder}.lock.`
  );
}

/** @returns the id of the process that has the lock; 0 if there is none */
async function readOwner(file: string): Promise<number> {
  return Number((await readFile(file, 'utf8').catch(ignoreMissing)) ?? 0);
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Creating a database blocks its thread, so it runs in a worker thread. A killed process can leave
 * an incomplete database, so the folder gets its name only when the database is complete.
 */
async function create(module: string, folder: string): Promise<void> {
  const unfinished = `${folder}.new`;
  await rm(unfinished, { recursive: true, force: true });
  // PGlite's file system throws objects that are not Errors and have no message.
  const script = `
    const { workerData } = require('node:worker_threads');
    import(workerData.module)
      .then(({ PGlite }) => PGlite.create(workerData.folder))
      .then((pglite) => pglite.close())
      .catch(({ message, errno }) => {
        const detail = errno === 51 ? ', no space is left' : '';
        throw new Error(message ?? 'WASI error ' + errno + detail);
      });
  `;
  const worker = new Worker(script, { eval: true, workerData: { module, folder: unfinished } });
  await once(worker, 'exit');
  await rename(unfinished, folder);
}
