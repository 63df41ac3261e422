import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Kysely, PostgresDialect } from 'kysely';
import type { Pool } from 'pg';
import { test } from 'tap';
import { createCheck } from '../../../plugins/database/check.ts';
import { listMigrations, MIGRATIONS } from '../../../plugins/database/migration-files.ts';
import { createEmbeddedDatabase } from '../../fixture/embedded-database.ts';
import { openPostgresPort } from '../../fixture/postgres-port.ts';
import { buildTestApp, poll } from '../../helper.ts';

test('A database whose pool is fully in use is up', async (t) => {
  const { url } = await openPostgresPort(t);
  const app = await buildTestApp(t, { DATABASE_URL: url, DATABASE_POOL_MAX: '1' });
  await app.readiness.release();
  const client = await app.databasePool!.connect();
  t.teardown(() => client.release());
  await poll(async () => (await app.readiness.report()).services.database?.status === 'up');
});

test('An embedded database that is busy is up', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: `pglite:${await createEmbeddedDatabase()}` });
  const check = createCheck(app.db, await listMigrations(MIGRATIONS));
  await check();
  await app.db.transaction().execute(async () => t.resolves(check()));
});

test('A server that refuses more connections is up while this process has one', async (t) => {
  let code = '53300';
  let message = 'refused';
  const refuse = async () => Promise.reject(Object.assign(new Error(message), { code }));
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: refuse }) });
  const pool = Object.assign(new EventEmitter(), { options: { max: 2 } });
  const check = createCheck(db, new Map(), pool as unknown as Pool);
  await t.rejects(check(), { code });
  pool.emit('acquire');
  await t.resolves(check());
  code = '57P03';
  await t.rejects(check(), { code });
  message = 'no more connections allowed (max_client_conn)';
  await t.resolves(check(), 'the words of PgBouncer, which has one code for all its refusals');
  pool.emit('release');
  await t.rejects(check(), { code });
  code = '53300';
  await t.rejects(check(), { code });
});

test('A check that waits for a pool which has become full uses the spare connection', async (t) => {
  const db = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool: () => new Promise(() => {}) }),
  });
  const state = { idleCount: 0, totalCount: 1, options: { max: 2 } };
  const pool = Object.assign(new EventEmitter(), state);
  const refuse = async () => Promise.reject(Object.assign(new Error('full'), { code: '53300' }));
  const spare = { connect: refuse } as unknown as Pool;
  const check = createCheck(db, new Map(), pool as unknown as Pool, spare);
  pool.emit('acquire');
  const checked = check();
  pool.totalCount = 2;
  // The check's own timer does not keep the process running.
  await t.resolves(Promise.all([checked, sleep(600)]));
});

test('A full pool that answers is up, although the spare connection fails', async (t) => {
  const client = {
    query: async () => ({ command: 'SELECT', rows: [{ found: null }] }),
    release: () => undefined,
  };
  const idle = { connect: async () => client } as unknown as Pool;
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: idle }) });
  const state = { idleCount: 1, totalCount: 1, options: { max: 1 } };
  const pool = Object.assign(new EventEmitter(), state);
  const refuse = async () => Promise.reject(new Error('away'));
  const spare = { connect: refuse } as unknown as Pool;
  const check = createCheck(db, new Map(), pool as unknown as Pool, spare);
  await check();
  pool.idleCount = 0;
  const checked = check();
  setTimeout(() => pool.emit('release', undefined, {}), 100);
  // The check's own timer does not keep the process running.
  await t.resolves(Promise.all([checked, sleep(600)]));
  const [result] = await Promise.allSettled([check(), sleep(600)]);
  t.match(result, { reason: { message: 'away' } }, 'without an answer, it is down');
});

test('A database that is late is up only if other queries got an answer', async (t) => {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: () => late }) });
  const pool = Object.assign(new EventEmitter(), { options: { max: 2 } });
  const check = createCheck(db, new Map(), pool as unknown as Pool);
  const answers: [Error | undefined, object][] = [
    [new Error('gone'), {}],
    [undefined, { brokenBy: new Error('broken') }],
  ];
  const checked = check();
  for (const answer of answers) pool.emit('release', ...answer);
  setTimeout(reject, 600, new Error('down'));
  await t.rejects(checked, { message: 'down' });

  const client = {
    query: async () => ({ command: 'SELECT', rows: [{ found: null }] }),
    release: () => undefined,
  };
  let connect: () => Promise<unknown>;
  const changing = { connect: () => connect() } as unknown as Pool;
  const busy = createCheck(
    new Kysely<unknown>({ dialect: new PostgresDialect({ pool: changing }) }),
    new Map(),
    pool as unknown as Pool,
  );
  t.comment('before a check has found all migrations, the answers of others do not count');
  connect = () => sleep(600).then(() => Promise.reject(new Error('late')));
  const first = busy();
  setTimeout(() => pool.emit('release', undefined, {}), 100);
  await t.rejects(first, { message: 'late' });
  connect = async () => client;
  await busy();
  connect = () => new Promise(() => undefined);
  const others = busy();
  setTimeout(() => pool.emit('release', undefined, {}), 100);
  // The check's own timer does not keep the process running.
  await t.resolves(Promise.all([others, sleep(600)]));
});
