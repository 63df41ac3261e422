import { once } from 'node:events';
import { globSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { sql } from 'kysely';
import pg from 'pg';
import { test } from 'tap';
import { isSqlError, translateError } from '../../../plugins/database/database-errors.ts';
import { openPostgresPort } from '../../fixture/postgres-port.ts';
import {
  buildTestApp,
  captureLog,
  createFolder,
  DOWN,
  type LogLine,
  poll,
  ROOT,
  spawnProcess,
  startProcess,
} from '../../helper.ts';
import { holdLock } from './hold-lock.ts';

const routes = [
  new URL('../../../routes/', import.meta.url),
  new URL('../../fixture/routes/', import.meta.url),
];

const askReady = async (app: FastifyInstance) => (await app.inject('/health/ready')).statusCode;

test('On a PostgreSQL server', async (t) => {
  const server = await openPostgresPort(t);
  const migrations = listMigrations();
  const { logger, lines } = captureLog();
  const environment = { DATABASE_URL: server.url, DATABASE_POOL_MAX: '1' };
  const app = await buildTestApp(t, environment, { logger, routes });
  const findLine = (text: string) =>
    lines.find(({ msg, err }) => `${msg} ${(err as Error)?.message}`.includes(text));

  await t.test(
    'release applies the migrations, and the app becomes ready without a restart',
    async (t) => {
      const release = await startProcess(t, { entry: 'release', source: 'src', environment });
      t.equal(await release.exited, 0);
      const line = release.lines.findLast(({ applied }) => applied);
      t.match(line, { level: 30, applied: migrations });
      await poll(async () => (await askReady(app)) === 200);
    },
  );

  await t.test('A second release has nothing to do', async (t) => {
    t.strictSame(await app.readiness.release(), []);
    t.match(lines.at(-1), { level: 30, applied: [], msg: 'Nothing to apply' });
  });

  await t.test('A server that hangs makes requests answer 503 until it continues', async (t) => {
    const hurried = await buildTestApp(
      t,
      { ...environment, REQUEST_TIMEOUT_MS: '1000' },
      { logger, routes },
    );
    await poll(async () => (await hurried.inject('/fixture/database')).statusCode === 200);
    server.pause();
    t.equal((await hurried.inject('/fixture/database')).statusCode, 503);
    t.equal((await hurried.inject('/fixture/database')).statusCode, 503);
    server.resume();
    await poll(async () => (await hurried.inject('/fixture/database')).statusCode === 200);
    t.match(findLine('Query read timeout'), { level: 50, status: 503 });
  });

  await t.test(
    'A connection that breaks is logged, and the next request gets another one',
    async (t) => {
      // The pool may have closed an idle connection, so open one.
      t.equal((await app.inject('/fixture/database')).statusCode, 200);
      server.disconnect();
      await poll(() => findLine('A connection to the database broke') !== undefined);
      t.equal((await app.inject('/fixture/database')).statusCode, 200);
      await poll(async () => (await askReady(app)) === 200);
    },
  );

  await t.test('A connection that breaks during a query answers 503', async (t) => {
    server.pause();
    const answer = app.inject('/fixture/database');
    // The query is in flight when the connection breaks.
    await poll(() => server.countPending() > 0);
    server.disconnect();
    t.equal((await answer).statusCode, 503);
    server.resume();
    await poll(async () => (await app.inject('/fixture/database')).statusCode === 200);
  });

  await t.test('A query that is a pg object is passed on unchanged', async (t) => {
    const client = await app.databasePool!.connect();
    const query = client.query(new pg.Query('select 1'));
    await once(query, 'end');
    client.release();
    t.equal((await app.inject('/fixture/database')).statusCode, 200);
  });

  await t.test('A query with a callback holds its connection until it is answered', async (t) => {
    const pool = app.databasePool!;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    server.pause();
    pool.query('select 1', (error) => resolve(error));
    await poll(() => server.countPending() > 0);
    t.equal(pool.idleCount, pool.totalCount - 1);
    server.resume();
    t.notOk(await promise);
    t.equal(pool.idleCount, pool.totalCount);
    const failed = new Promise((resolve) => pool.query('select nothing', resolve));
    t.ok(isSqlError((await failed) as Error));
  });

  await t.test('A wrong query keeps its connection and readiness', async (t) => {
    const error = await sql`select nothing`.execute(app.db).catch((error) => error);
    t.ok(isSqlError(error));
    t.equal(translateError(error), undefined);
    t.equal((await app.inject('/fixture/database')).statusCode, 200);
  });

  await t.test(
    'A session that the server ends answers 503; the next request gets another one',
    async (t) => {
      const ended =
        sql`do $$ begin raise exception using errcode = 'admin_shutdown'; end $$`.execute(app.db);
      const error = await ended.catch((error) => error);
      t.equal(translateError(error)?.statusCode, 503);
      t.equal((await app.inject('/fixture/database')).statusCode, 200);
    },
  );
});

test('Closing the app ends a pool that only a library has used', async (t) => {
  const server = await openPostgresPort(t);
  const app = await buildTestApp(t, { DATABASE_URL: server.url });
  await app.databasePool!.query('select 1');
  await app.close();
  t.equal(app.databasePool!.totalCount, 0);
  await t.rejects(app.databasePool!.query('select 1'), /after calling end/);
});

test('Closing the app does not fail if a library has ended the pool', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  await app.databasePool!.end();
  await t.resolves(app.close());
});

test('Without a database server, the app starts, answers 503 and logs why', async (t) => {
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, { DATABASE_URL: DOWN }, { logger, routes });
  await app.listen({ host: '127.0.0.1', port: 0 });
  await poll(() => lines.some(({ msg }) => msg === 'The database is not ready'));
  t.match(findErrors(lines), [{ level: 40, err: { code: 'ECONNREFUSED' } }]);
  t.equal((await app.inject('/fixture/database')).statusCode, 503);
  const { statusCode, body } = await app.inject('/health/ready');
  t.equal(statusCode, 503);
  t.match(JSON.parse(body), { status: 'unavailable', services: { database: { status: 'down' } } });
  await t.rejects(app.readiness.release(), { code: 'ECONNREFUSED' });
  t.notMatch(JSON.stringify(lines), 'hunter2');
});

test('A signal ends release with 1, while it waits for its database', async (t) => {
  const silent = createServer();
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  const environment = { DATABASE_URL: `postgres://poort@127.0.0.1:${port}/poort` };
  const release = spawnProcess(t, { entry: 'release', source: 'src', environment });
  await once(silent, 'connection');
  release.signal('SIGTERM');
  t.equal(await release.exited, 1);
  t.match(release.lines.at(-1), { level: 60, msg: 'A signal stopped the process before its end' });
});

test('A database server that never answers makes requests answer 503', async (t) => {
  const silent = createServer();
  await once(silent.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  const environment = {
    DATABASE_URL: `postgres://poort@127.0.0.1:${port}/poort`,
    REQUEST_TIMEOUT_MS: '1000',
  };
  const app = await buildTestApp(t, environment, { routes });
  t.equal((await app.inject('/fixture/database')).statusCode, 503);
  t.equal(await askReady(app), 503);
});

test('An embedded database that cannot be opened makes requests answer 500', async (t) => {
  const folder = path.join(await createFolder(t), 'data');
  await holdLock(t, folder);
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, { DATABASE_URL: `pglite:${folder}` }, { logger, routes });
  t.equal((await app.inject('/fixture/database')).statusCode, 500);
  t.equal(await askReady(app), 503);
  t.match(findErrors(lines).at(-1), {
    service: 'database',
    err: { message: /^Process \d+ has the embedded database/ },
  });
  await t.rejects(app.readiness.release(), /has the embedded database/);
});

function listMigrations(): string[] {
  const files = globSync('src/migrations/*.ts', { cwd: ROOT });
  return files.map((file) => path.parse(file).name).sort();
}

function findErrors(lines: LogLine[]): LogLine[] {
  return lines.filter(({ err }) => err !== undefined);
}
