import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { appendFile, mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import type { FastifyBaseLogger as Log } from 'fastify';
import { OperatorError } from '../../src/operator-error.ts';

export const RESET =
  'Stop npm run dev and run npm run db:reset: it moves the database aside, deletes nothing, ' +
  'and the next start creates a new one.';

/** The folder in a `pglite:` URL, without a slash at its end: its lock would be inside of it. */
export function readFolder(url: string): string {
  return url.slice('pglite:'.length).replace(/(?<=[^/])\/+$/, '');
}

export function cannotOpen(folder: string, cause: Error, remedy: string): OperatorError {
  const reason = `The embedded database in ${folder} cannot be opened: ${cause.message}`;
  return new OperatorError(`${reason}. ${remedy}`, { cause });
}

/** Locks the folder until the process ends, and creates the database if it does not exist. */
export async function prepareFolder(folder: string, module: string, log: Log): Promise<void> {
  try {
    await lockFolder(folder);
    const files = existsSync(folder) ? await readdir(folder) : [];
    if (files.includes('PG_VERSION')) return;
    if (files.length > 0) throw new OperatorError(`${folder} is not a complete database. ${RESET}`);
    log.info(`Creating the embedded database in ${folder}: this takes some seconds, only once`);
    await create(module, folder);
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    const remedy = 'Fix that, or name another folder in DATABASE_URL.';
    throw cannotOpen(folder, error as Error, remedy);
  }
}

const SQLITE_BUSY = 5;

/** The locks of this process. Without a reference, a lock would end. */
const locks = new Map<string, DatabaseSync>();

/** Locks a folder until this process ends, even if killed: two would destroy the database. */
export async function lockFolder(folder: string): Promise<void> {
  const file = `${folder}.lock`;
  await mkdir(path.dirname(file), { recursive: true });
  // If the file cannot be written, this error says why. SQLite's error does not.
  await appendFile(file, '');
  // Imported only here, because Node 22 prints a warning.
  const { DatabaseSync } = await import('node:sqlite');
  // This process may have the lock already, because it retries a database that failed to open.
  if (locks.has(folder)) return;
  const lock = new DatabaseSync(`${file}.db`);
  try {
    // The pragma avoids a journal. With `begin exclusive`, all of several processes could fail.
    lock.exec('pragma journal_mode = memory; begin immediate');
  } catch (error) {
    lock.close();
    const isBusy = Reflect.get(error as Error, 'errcode') === SQLITE_BUSY;
    throw isBusy ? new OperatorError(describeOwner(readFileSync(file, 'utf8'), folder)) : error;
  }
  locks.set(folder, lock);
  writeFileSync(file, String(process.pid));
}

function describeOwner(owner: string, folder: string): string {
  return (
    `Process ${owner} has the embedded database in ${folder} open. Only one process can use it. ` +
    'Stop that process first (npm run dev?).'
  );
}

/** In a thread, because it blocks. Renamed at its end: a killed process may leave a part of it. */
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
