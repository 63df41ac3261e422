import { Kysely, sql } from 'kysely';
import { type Test, test } from 'tap';
import { DatabaseUnavailable } from '../../../plugins/database/database-errors.ts';
import { applyMigrations } from '../../../plugins/database/migrate.ts';
import { listMigrations } from '../../../plugins/database/migration-files.ts';
import { createPool } from '../../../plugins/database/postgres.ts';
import { createDialect } from '../../../plugins/database/postgres-dialect.ts';
import { openPostgresPort } from '../../fixture/postgres-port.ts';
import { captureLog, createFolder, poll, writeFiles } from '../../helper.ts';

async function connect(t: Test, timeoutMs = 600_000) {
  const server = await openPostgresPort(t);
  const limits = { max: 1, connectionTimeoutMillis: 600_000, query_timeout: timeoutMs };
  const pool = createPool(server.url, undefined, limits, () => undefined);
  const db = new Kysely<unknown>({ dialect: createDialect(pool) });
  t.teardown(() => db.destroy());
  return { server, pool, db };
}

test('A transaction fails with the error of its query, although its rollback fails too', async (t) => {
  const { server, db } = await connect(t, 500);
  const transaction = db.transaction().execute(async (transaction) => {
    server.pause();
    await sql`select 1`.execute(transaction);
  });
  const error = await transaction.catch((error) => error);
  t.ok(error instanceof DatabaseUnavailable);
  t.match(error, { message: /Query read timeout/ });
  server.resume();
  await t.resolves(sql`select 1`.execute(db), 'the next query has another connection');
});

test('A transaction fails with the error of the app, if its connection is lost too', async (t) => {
  const { server, pool, db } = await connect(t);
  const transaction = db.transaction().execute(async () => {
    server.disconnect();
    throw new Error('an error of the app');
  });
  await t.rejects(transaction, { message: 'an error of the app' });
  await poll(() => pool.totalCount === 0);
  await t.resolves(sql`select 1`.execute(db));
});

test('A transaction that fails is rolled back', async (t) => {
  const { db } = await connect(t);
  await sql`create table cats (name text)`.execute(db);
  const transaction = db.transaction().execute(async (transaction) => {
    await sql`insert into cats values ('Tom')`.execute(transaction);
    await sql`select nothing`.execute(transaction);
  });
  await t.rejects(transaction, { message: /nothing/ });
  t.strictSame((await sql`select * from cats`.execute(db)).rows, []);
});

test('A migration that loses its connection is named', async (t) => {
  const { server, db } = await connect(t);
  Reflect.set(globalThis, 'disconnect', server.disconnect);
  const folder = await createFolder(t);
  await writeFiles(folder, {
    '1-cats.mjs': `export const up = async (db) => {
      globalThis.disconnect();
      await db.schema.createTable('cats').addColumn('name', 'text').execute();
    };`,
  });
  const files = await listMigrations(folder);
  await t.rejects(applyMigrations(db, files, captureLog().logger), {
    message: /^Migration 1-cats failed: .*; the schema is unchanged$/,
  });
});
