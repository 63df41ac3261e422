import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { test } from 'tap';
import { buildTestApp, poll } from '../helper.ts';
import { startPostgres } from './postgres-server.ts';

test('A connection to a demoted primary is not used again', async (t) => {
  const server = await startPostgres(t);
  const app = await buildTestApp(t, { DATABASE_URL: server.url, DATABASE_POOL_MAX: '1' });
  const readPid = async () => (await sql`select pg_backend_pid() as pid`.execute(app.db)).rows[0];
  for (const [code, isKept] of [
    ['25006', false],
    ['08006', false],
    ['23505', true],
  ] as const) {
    const before = await readPid();
    const failing = `do $$ begin raise exception using errcode = '${code}'; end $$`;
    await t.rejects(sql.raw(failing).execute(app.db), { code });
    t[isKept ? 'strictSame' : 'strictNotSame'](await readPid(), before, code);
  }
});

test('The error of a connection that the server ended says why', async (t) => {
  const server = await startPostgres(t);
  const app = await buildTestApp(t, { DATABASE_URL: server.url, DATABASE_POOL_MAX: '1' });
  const admin = await server.connect();
  const late = app.db.transaction().execute(async (transaction) => {
    const pid = sql<{ pid: number }>`select pg_backend_pid() as pid`;
    const session = (await pid.execute(transaction)).rows[0]!.pid;
    await sql`set local idle_in_transaction_session_timeout = 100`.execute(transaction);
    const find = `select from pg_stat_activity where pid = ${session}`;
    await poll(async () => (await admin.query(find)).rowCount === 0);
    await sql`select 1`.execute(transaction);
  });
  await t.rejects(late, { name: 'DatabaseUnavailable', message: /idle-in-transaction/ });
  t.strictSame((await sql`select 1 as one`.execute(app.db)).rows, [{ one: 1 }]);
});

test('A request never gets a connection whose late query is being cancelled', async (t) => {
  const server = await startPostgres(t);
  const environment = { DATABASE_POOL_MAX: '1', REQUEST_TIMEOUT_MS: '1000' };
  const { db } = await buildTestApp(t, { DATABASE_URL: server.url, ...environment });
  for (let round = 0; round < 5; round++) {
    const left = db.transaction().execute(async (transaction) => {
      sql`select pg_sleep(60)`.execute(transaction).catch(() => undefined);
      // Its rollback waits behind the query, comes back when that is cancelled, and is not late.
      await sleep(300);
      throw new Error('another service failed');
    });
    await t.rejects(left, { message: 'another service failed' });
    await t.resolves(sql`select pg_sleep(0.1)`.execute(db));
  }
});

test('Readiness detects that the database was dropped and created again', async (t) => {
  const server = await startPostgres(t);
  const admin = await server.connect();
  const app = await buildTestApp(t, { DATABASE_URL: server.url });
  await poll(async () => (await app.inject('/health/ready')).statusCode === 200);
  await admin.query('drop schema public cascade; create schema public');
  await poll(async () => (await app.inject('/health/ready')).statusCode === 503);
  t.match((await app.inject('/health/ready')).json(), { status: 'unavailable' });
});
