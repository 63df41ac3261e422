import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';
import { type Test, test } from 'tap';
import type { Tables } from '../../plugins/database/index.ts';
import {
  buildTestApp,
  type Environment,
  poll,
  spawnProcess,
  type TestProcess,
  writeFiles,
} from '../helper.ts';
import { copyBuild } from '../process/copy-build.ts';
import { startPgBouncer } from './pgbouncer-server.ts';
import { startPostgres } from './postgres-server.ts';

const SLOW = `
  import { sql } from 'kysely';
  export const up = async (db) => {
    await db.schema.createTable('slow').addColumn('id', 'uuid').execute();
    await sql\`select pg_sleep(2)\`.execute(db);
  };`;

const INDEX = `
  import { sql } from 'kysely';
  export const transaction = false;
  export const up = (db) => sql\`create index concurrently slow_id on slow (id)\`.execute(db);`;

async function readApplied(t: Test, { exited, lines }: TestProcess): Promise<string[]> {
  t.equal(await exited, 0);
  return lines.findLast(({ applied }) => applied)?.applied as string[];
}

/** The time limits of the pooler's sessions. */
async function readLimits(db: Kysely<Tables>): Promise<Set<string>> {
  const show = sql<{ statement_timeout: string }>`show statement_timeout`;
  const answers = await Promise.all(Array.from({ length: 50 }, () => show.execute(db)));
  return new Set(answers.flatMap(({ rows }) => rows.map((row) => row.statement_timeout)));
}

test('PgBouncer as a transaction pooler', async (t) => {
  const server = await startPostgres(t);
  const url = await startPgBouncer(t, server);
  const admin = await server.connect();
  const folder = await copyBuild(t);
  const release = (DATABASE_URL: string) =>
    spawnProcess(t, { entry: 'release', environment: { DATABASE_URL }, folder });
  const countLocks = async () =>
    (await admin.query("select count(*)::int from pg_locks where locktype = 'advisory'")).rows[0]
      .count;

  await t.test('Concurrent releases apply each migration once, after one was killed', async (t) => {
    const files = { '9997-slow.js': SLOW, '9998-index.js': INDEX };
    await writeFiles(path.join(folder, 'dist/src/migrations'), files);
    const killed = release(url);
    await poll(async () => (await countLocks()) > 0);
    killed.signal('SIGKILL');
    await killed.exited;
    const applied = await Promise.all([1, 2, 3].map(async () => readApplied(t, release(url))));
    const names = ['9997-slow', '9998-index'];
    // Each migration may be applied by any of the releases.
    t.strictSame(
      applied
        .flat()
        .filter((name) => names.includes(name))
        .sort(),
      names,
    );
    const { rows } = await admin.query(
      'select name from kysely_migration where name = any($1) order by timestamp',
      [names],
    );
    t.strictSame(
      rows,
      names.map((name) => ({ name })),
      'in order',
    );
    t.strictSame(await readApplied(t, release(url)), []);
    t.equal(await countLocks(), 0);
  });

  await t.test('A late query is cancelled, and no session keeps a time limit', async (t) => {
    const environment = { DATABASE_URL: url, REQUEST_TIMEOUT_MS: '2000' };
    const { db } = await buildTestApp(t, environment);
    const late = await Promise.allSettled([1, 2].map(() => sql`select pg_sleep(600)`.execute(db)));
    for (const result of late)
      t.match(result, { reason: { name: 'DatabaseUnavailable', message: /read timeout/ } });
    const sleeping =
      "select 1 from pg_stat_activity where state = 'active' and query ~ 'sleep.600'";
    await poll(
      async () => (await admin.query(`${sleeping} and pid <> pg_backend_pid()`)).rows.length === 0,
    );
    t.strictSame(await readLimits(db), new Set(['0']));
  });

  await t.test('A release leaves no settings in the sessions of the pooler', async (t) => {
    // The pooler opens new sessions for a new database.
    await admin.query('create database limited');
    await admin.query("alter database limited set statement_timeout = '70s'");
    const limited = url.replace(/[^/]+$/, 'limited');
    t.ok((await readApplied(t, release(limited))).includes('9998-index'));
    const { db } = await buildTestApp(t, { DATABASE_URL: limited });
    t.strictSame(await readLimits(db), new Set(['70s']));
  });

  await t.test('Many requests at once are answered', async (t) => {
    const routes = [new URL('../fixture/routes/', import.meta.url)];
    const app = await buildTestApp(t, { DATABASE_URL: url }, { routes });
    const answers = await Promise.all(
      Array.from({ length: 100 }, async () => (await app.inject('/fixture/database')).statusCode),
    );
    t.ok(answers.every((status) => status === 200));
  });

  await t.test('Readiness is up while all connections of the pool are busy', async (t) => {
    const environment = {
      DATABASE_URL: url,
      DATABASE_DIRECT_URL: server.url,
      DATABASE_POOL_MAX: '2',
    };
    const app = await buildTestApp(t, environment);
    const slow = Promise.all([1, 2, 3].map(() => sql`select pg_sleep(4)`.execute(app.db)));
    await poll(() => app.databasePool?.waitingCount === 1);
    t.equal((await app.inject('/health/ready')).statusCode, 200);
    await slow;
  });

  await t.test(
    'Readiness is up while the pooler is busy but answers, and down if not',
    async (t) => {
      const app = await buildTestApp(t, { DATABASE_URL: url });
      const askReady = async () => (await app.inject('/health/ready')).statusCode;
      t.equal(await askReady(), 200);
      let isBusy = true;
      const work = async () => {
        while (isBusy) await sql`select pg_sleep(0.3)`.execute(app.db);
      };
      // The pooler has two connections, so a query waits for more than a second.
      const busy = Array.from({ length: 8 }, work);
      await poll(() => app.databasePool?.totalCount === 8);
      for (let count = 0; count < 3; count++) {
        t.equal(await askReady(), 200);
        await sleep(1_100);
      }
      isBusy = false;
      await Promise.all(busy);
      const held = Promise.all([1, 2].map(() => sql`select pg_sleep(5)`.execute(app.db)));
      await poll(async () => (await askReady()) === 503);
      await held;
    },
  );
});

test('A release through a pooler without transactions names DATABASE_DIRECT_URL', async (t) => {
  const server = await startPostgres(t);
  const url = await startPgBouncer(t, server, 'statement');
  const release = (environment: Environment) =>
    spawnProcess(t, { entry: 'release', environment: { DATABASE_URL: url, ...environment } });
  const failed = release({});
  t.equal(await failed.exited, 1);
  t.match(failed.lines.at(-1)?.msg, /statement pooling mode.*set DATABASE_DIRECT_URL/);
  t.equal(await release({ DATABASE_DIRECT_URL: server.url }).exited, 0);
});

test('A pool full of slow queries is up, even if the server has no other connection', async (t) => {
  const server = await startPostgres(t);
  const admin = await server.connect();
  const rows: [DATABASE_POOL_MAX: string, change?: string][] = [
    ['2'],
    // The admin's own connection counts too; a superuser's connections are not limited.
    ['2', 'alter role poort nosuperuser connection limit 3'],
    ['10'],
  ];
  for (const [DATABASE_POOL_MAX, change] of rows) {
    if (change) await admin.query(change);
    const app = await buildTestApp(t, { DATABASE_URL: server.url, DATABASE_POOL_MAX });
    const slow = Promise.all([1, 2].map(() => sql`select pg_sleep(4)`.execute(app.db)));
    const sleeping = "select from pg_stat_activity where query ~ 'sleep.4' and state = 'active'";
    await poll(
      async () => (await admin.query(`${sleeping} and pid <> pg_backend_pid()`)).rowCount === 2,
    );
    t.equal((await app.inject('/health/ready')).statusCode, 200);
    await slow;
    await app.close();
    // The server still counts closed connections for a moment.
    const others = `select from pg_stat_activity
      where backend_type = 'client backend' and pid <> pg_backend_pid()`;
    await poll(async () => (await admin.query(others)).rowCount === 0);
  }
});
