import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type ResolveFnOutput, registerHooks } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { Kysely, sql } from 'kysely';
import { type Test, test } from 'tap';
import { isSqlError } from '../../../plugins/database/database-errors.ts';
import { createEmbeddedDatabase } from '../../../plugins/database/embedded-database.ts';
import { createEmbeddedDatabase as createEmptyDatabase } from '../../fixture/embedded-database.ts';
import { captureLog, createFolder, writeFiles } from '../../helper.ts';
import { holdLock } from './hold-lock.ts';

function openDatabase(t: Test, folder: string) {
  const { logger, lines } = captureLog();
  const dialect = createEmbeddedDatabase(`pglite:${folder}`, logger, async () => ['prepared']);
  const db = new Kysely<unknown>({ dialect });
  t.teardown(() => db.destroy());
  return { db, lines };
}

const ask = async (db: Kysely<unknown>) => (await sql`select 1 as one`.execute(db)).rows;

test('The first query creates and migrates the database, and logs it', async (t) => {
  const folder = path.join(await createFolder(t), 'deep/data');
  await writeLeftovers(folder);
  const { db, lines } = openDatabase(t, folder);
  t.notOk(existsSync(folder), 'nothing is opened before the first query');
  t.strictSame(await ask(db), [{ one: 1 }]);
  t.ok(isSqlError(await sql`select nothing`.execute(db).catch((error) => error)));
  t.match(lines, [
    { msg: /^Creating the embedded database in .*data: this takes some seconds/ },
    { msg: /is open in .*data$/ },
  ]);
  t.notOk(existsSync(`${folder}.new`));
  t.equal(await readFile(`${folder}.lock`, 'utf8'), String(process.pid));
  await db.destroy();

  const again = openDatabase(t, folder);
  t.strictSame(await ask(again.db), [{ one: 1 }]);
  t.match(again.lines, [{ applied: ['prepared'], msg: /is open in/ }]);
});

test('A database open in another process is refused with the way to fix it', async (t) => {
  const folder = path.join(await createFolder(t), 'data');
  const owner = await holdLock(t, folder);
  const { db } = openDatabase(t, folder);
  const message = new RegExp(
    `^Process ${owner} has the embedded database in ${folder} open\\. .* Stop that process`,
  );
  await t.rejects(ask(db), { message });
  t.notOk(existsSync(folder));
});

test('An incomplete database, or one of another version, is refused', async (t) => {
  const folder = await createEmptyDatabase();
  await writeFile(path.join(folder, 'PG_VERSION'), '16\n');
  const other = openDatabase(t, folder);
  await t.rejects(ask(other.db), {
    message: /data cannot be opened: .* npm run db:reset: it moves/,
  });
  await rm(path.join(folder, 'PG_VERSION'));
  const half = openDatabase(t, folder);
  await t.rejects(ask(half.db), {
    message: /data is not a complete database\. .* npm run db:reset/,
  });
  t.ok(existsSync(path.join(folder, 'global')), 'nothing is deleted');
});

test('A database that cannot be migrated is closed again', async (t) => {
  const folder = await createEmptyDatabase();
  const { logger } = captureLog();
  const prepare = () => Promise.reject(new Error('not prepared'));
  const dialect = createEmbeddedDatabase(`pglite:${folder}`, logger, prepare);
  const db = new Kysely<unknown>({ dialect });
  t.teardown(() => db.destroy());
  t.notOk(isSqlError(new Error()));
  for (let time = 0; time < 2; time++) {
    const error = await ask(db).catch((error) => error);
    t.match(error, { message: 'not prepared' });
    t.notOk(isSqlError(error));
  }
});

test('A database that cannot be created leaves no folder', async (t) => {
  const parent = await createFolder(t);
  const folder = path.join(parent, 'data');
  await writeFiles(parent, {
    'full-disk.mjs': "export const PGlite = { create: async () => { throw new Error('full') } };",
  });
  resolvePGlite(t, () => ({
    url: pathToFileURL(path.join(parent, 'full-disk.mjs')).href,
    shortCircuit: true,
  }));
  await t.rejects(ask(openDatabase(t, folder).db), {
    name: 'OperatorError',
    message: `The embedded database in ${folder} cannot be opened: full. Fix that, or name another folder in DATABASE_URL.`,
  });
  t.notOk(existsSync(folder));
});

test('A path that is not a folder is refused, and nothing is written', async (t) => {
  const parent = await createFolder(t);
  await writeFiles(parent, { file: 'mine', 'locked.lock/file': '' });
  const rows: [folder: string, reason: RegExp][] = [
    ['file', /ENOTDIR: not a directory, scandir/],
    ['file/data', /EEXIST|ENOTDIR/],
    ['locked', /EISDIR/],
  ];
  for (const [name, reason] of rows) {
    const { db } = openDatabase(t, path.join(parent, name));
    const error = await ask(db).catch((error) => error);
    t.match(error, { name: 'OperatorError', message: reason }, name);
    t.match(error.message, /cannot be opened: .* name another folder in DATABASE_URL\.$/);
  }
  t.strictSame((await readdir(parent)).sort(), [
    'file',
    'file.lock',
    'file.lock.db',
    'locked.lock',
  ]);
});

test('A transaction that uses the database without it ends with an error', async (t) => {
  const { db } = openDatabase(t, await createEmptyDatabase());
  const inside = db.transaction().execute(() => ask(db));
  await t.rejects(inside, {
    name: 'DatabaseUnavailable',
    message: /: a transaction holds .* use the transaction in place of app\.db/,
  });
  t.strictSame(await ask(db), [{ one: 1 }]);
});

test('A transaction has the isolation level and the access mode that it asks for', async (t) => {
  const { db } = openDatabase(t, await createEmptyDatabase());
  const read = async (transaction: Kysely<unknown>) =>
    (
      await sql`select current_setting('transaction_isolation') as level,
      current_setting('transaction_read_only') as mode`.execute(transaction)
    ).rows;
  const strict = db.transaction().setIsolationLevel('serializable').setAccessMode('read only');
  t.strictSame(await strict.execute(read), [{ level: 'serializable', mode: 'on' }]);
  t.strictSame(await db.transaction().setIsolationLevel('repeatable read').execute(read), [
    { level: 'repeatable read', mode: 'off' },
  ]);
  t.strictSame(await db.transaction().execute(read), [{ level: 'read committed', mode: 'off' }]);
});

test('A query with a signal may ask for its cancelling, as on PostgreSQL', async (t) => {
  const { db } = openDatabase(t, await createEmptyDatabase());
  // It comes at each step that leads to the query.
  for (const inflightQueryAbortStrategy of ['cancel query', 'kill session'] as const)
    for (let steps = 0; steps < 50; steps++) {
      const controller = new AbortController();
      const options = { signal: controller.signal, inflightQueryAbortStrategy };
      t.strictSame((await sql`select 1 as one`.execute(db, options)).rows, [{ one: 1 }]);
      const asked = sql`select 1`.execute(db, options);
      for (let step = 0; step < steps; step++) await undefined;
      controller.abort(new Error('left'));
      await t.rejects(asked, { message: 'left' });
    }
});

test('A database in memory has no folder and no lock', async (t) => {
  const parent = await createFolder(t);
  // A fake PGlite: creating a real database takes seconds, and `npm run proof examples` does that.
  await writeFiles(parent, {
    'named.mjs': `export const PGlite = {
      defaultStartParams: [],
      create: async ({ dataDir, startParams }) => {
        throw new Error([dataDir, ...startParams].join(' '));
      },
    };`,
  });
  resolvePGlite(t, () => ({
    url: pathToFileURL(path.join(parent, 'named.mjs')).href,
    shortCircuit: true,
  }));
  const { db, lines } = openDatabase(t, 'memory');
  await t.rejects(ask(db), { message: 'memory:// -c shared_buffers=16MB' });
  t.strictSame(lines, []);
  t.notOk(existsSync('memory.lock'));
});

test('Without PGlite, a pglite: URL is refused with the way to fix it', (t) => {
  resolvePGlite(t, () => {
    throw new Error('not found');
  });
  const { logger } = captureLog();
  const message = /is not installed here\. Set DATABASE_URL to a postgres:\/\/ URL, or run npm ci/;
  t.throws(() => createEmbeddedDatabase('pglite:memory', logger, async () => []), {
    message,
    name: 'OperatorError',
  });
  t.end();
});

/** Replaces the module PGlite. */
function resolvePGlite(t: Test, answer: () => ResolveFnOutput): void {
  const hooks = registerHooks({
    resolve: (name, context, next) =>
      name === '@electric-sql/pglite' ? answer() : next(name, context),
  });
  t.teardown(() => hooks.deregister());
}

/** Writes what a killed process leaves: its lock, and half a database. */
async function writeLeftovers(folder: string): Promise<void> {
  await mkdir(`${folder}.new`, { recursive: true });
  await writeFile(path.join(`${folder}.new`, 'PG_VERSION'), 'half');
  await writeFile(`${folder}.lock`, '4194305');
}
