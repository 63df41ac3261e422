import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { sql } from 'kysely';
import type { Pool } from 'pg';
import { type Test, test } from 'tap';
import { DatabaseUnavailable } from '../../plugins/database/database-errors.ts';
import type { Job } from '../../plugins/jobs.ts';
import { OWNER, startBoss, stopBoss } from '../../src/job-boss.ts';
import { sendHeartbeats } from '../../src/job-heartbeat.ts';
import { OutageLog } from '../../src/job-outage.ts';
import { startOwner } from '../../src/job-release.ts';
import type { Result } from '../../src/job-run.ts';
import { readQueued, storeResult } from '../../src/job-storage.ts';
import { openPostgresPort } from '../fixture/postgres-port.ts';
import {
  buildTestApp,
  captureLog,
  createFolder,
  DOWN,
  endAfter,
  poll,
  writeFiles,
} from '../helper.ts';

/** The end of a first attempt. */
const FIRST = { attempt: 1, durationMs: 1 };

const JOBS = new Map([['work', { retries: 2 } as Job]]);

const FIXTURE = new URL('../fixture/jobs/', import.meta.url);

/** Builds an app with these jobs on a PostgreSQL port. */
async function buildApp(t: Test, url: string, jobs: URL[], environment = {}) {
  const { logger, lines } = captureLog();
  const settings = { DATABASE_URL: url, DATABASE_POOL_MAX: '1', ...environment };
  return { app: await buildTestApp(t, settings, { logger, jobs }), lines };
}

/** Starts an app that runs a job without an end. */
async function startHanging(t: Test, SHUTDOWN_TIMEOUT_MS: string) {
  const { url } = await openPostgresPort(t);
  const environment = { SHUTDOWN_TIMEOUT_MS, SHUTDOWN_DELAY_MS: '0' };
  const { app, lines } = await buildApp(t, url, [FIXTURE], environment);
  await app.readiness.release();
  app.jobs.take();
  const id = await app.jobs.send('work', { how: 'hang' });
  await poll(() => lines.some(({ msg }) => msg === 'hang begins'));
  return { app, lines, id };
}

/** Sends a job and takes it, as a worker does. */
async function takeOne(t: Test) {
  const { url } = await openPostgresPort(t);
  const { app } = await buildApp(t, url, [FIXTURE]);
  await app.readiness.release();
  const boss = await startBoss({ pool: app.databasePool as Pool }, () => undefined);
  endAfter(t, () => stopBoss(boss));
  await app.jobs.send('work', { how: 'end' });
  const [queued] = await boss.fetch<object>('work', { includeMetadata: true });
  return { app, boss, queued: queued! };
}

test('While the database is down, send rejects and can be retried', async (t) => {
  const { app } = await buildApp(t, DOWN, [FIXTURE]);
  const pool = app.databasePool as Pool;
  // Another test may block this process for longer than the usual time to connect.
  pool.options.connectionTimeoutMillis = 60_000;
  for (const _try of [1, 2])
    await t.rejects(app.jobs.send('work', { how: 'end' }), { code: 'ECONNREFUSED' });
  await t.rejects(app.jobs.findMissing(app.db as never), { code: 'ECONNREFUSED' });
  await t.rejects(
    startBoss({ pool }, () => undefined, OWNER),
    { code: 'ECONNREFUSED' },
  );
});

test('release creates the queues of the jobs, and deletes those of removed jobs', async (t) => {
  const { url } = await openPostgresPort(t);
  const { app } = await buildApp(t, url, [FIXTURE]);
  await t.rejects(app.jobs.send('work', { how: 'end' }), { message: /not installed/ });
  const steps = ['queue tick', 'queue tick/clock', 'queue work'];
  t.strictSame((await app.jobs.findMissing(app.db as never)).sort(), steps);
  t.strictSame((await app.readiness.release()).slice(-3), steps);
  t.type(await app.jobs.send('work', { how: 'end' }), 'string');

  const build = (name: string, command: string) =>
    sql`insert into pgboss.bam (name, version, status, table_name, command)
      values (${name}, 1, 'pending', 'job', ${command})`.execute(app.db);
  // pg-boss checks for builds every 10 s at most; null makes it check now.
  const look = () => sql`update pgboss.version set bam_on = null`.execute(app.db);
  await build('fails', 'create index concurrently on pgboss.job (nothing)');
  await look();
  await t.rejects(app.readiness.release(), { message: /the table pgboss\.bam says why/ });
  await sql`delete from pgboss.bam where name = 'fails'`.execute(app.db);
  await build('builds', 'create index concurrently if not exists builds on pgboss.job_common (id)');
  await look();
  t.strictSame(await app.readiness.release(), [], 'a second release finishes the builds');
  const { rows } = await sql`select status from pgboss.bam where name = 'builds'`.execute(app.db);
  t.strictSame(rows, [{ status: 'completed' }]);

  const { app: later } = await buildApp(t, url, []);
  await sql`select pgboss.create_queue('other', '{"policy": "standard"}')`.execute(app.db);
  const gone = steps.map((step) => `no ${step}`);
  t.strictSame(await later.readiness.release(), gone);
  const left = await sql`select name from pgboss.queue where name not like '\\_%'`.execute(app.db);
  t.strictSame(left.rows, [{ name: 'other' }], 'the queue of another program stays');

  const folder = await createFolder(t);
  const job =
    "schema: {}, run() {}, retries: 0, retryDelayMs: 0, timeoutMs: 1, schedule: '99 * * * *'";
  await writeFiles(folder, { 'never.js': `export default { ${job} };` });
  const { app: wrong } = await buildApp(t, url, [pathToFileURL(`${folder}/`)]);
  const message = /^The job never cannot have the schedule "99 \* \* \* \*": /;
  await t.rejects(wrong.readiness.release(), { message });
});

test('An error event of pg-boss is an Error, with its type and cause', async (t) => {
  const { url } = await openPostgresPort(t);
  const { app } = await buildApp(t, url, [FIXTURE]);
  await app.readiness.release();
  const told: Error[] = [];
  const boss = await startBoss({ pool: app.databasePool as Pool }, (error) => told.push(error));
  endAfter(t, () => stopBoss(boss));
  const own = new TypeError('own', { cause: new Error('that') });
  for (const error of [own, { message: 'copied', stack: 'here', code: '57P01' }])
    boss.emit('error', error as Error);
  t.equal(told[0], own);
  t.type(told[1], Error);
  t.match(told[1], { message: 'copied', stack: 'here', code: '57P01' });
});

/** Starts pg-boss, and a function that takes the next job now, although it should wait. */
async function startTaking(t: Test, app: FastifyInstance) {
  const boss = await startBoss({ pool: app.databasePool as Pool }, () => undefined);
  endAfter(t, () => stopBoss(boss));
  const take = async () => {
    await sql`update pgboss.job set start_after = now()`.execute(app.db);
    const [job] = await boss.fetch<object>('work', { includeMetadata: true });
    return job!;
  };
  return { boss, take };
}

test('A job with the limit of another program, and one retried by hand, have their attempts', async (t) => {
  const { url } = await openPostgresPort(t);
  const { app } = await buildApp(t, url, [FIXTURE]);
  await app.readiness.release();
  const { boss, take } = await startTaking(t, app);
  const end = async (outcome: Result['outcome'], attempt: number) => {
    const job = await take();
    t.equal(readQueued(job, JOBS).attempt, attempt, outcome);
    await storeResult(boss, app, job, { attempt, outcome, durationMs: 1 });
  };
  const id = await boss.send('work', {}, { singletonKey: 'a', retryLimit: 0 });
  await end('returned', 1);
  await end('retry', 1);
  await end('returned', 2);
  await end('retry', 2);
  await end('failed', 3);
  await boss.retry('work', `${id}`);
  await end('returned', 3);
  await end('failed', 3);
  const [job] = await boss.findJobs('work', { id: `${id}` });
  t.match(job, { state: 'failed', deleteAfterSeconds: 7 * 24 * 60 * 60 });
});

test('A job waits no longer because it was returned, or because its worker was killed', async (t) => {
  const { url } = await openPostgresPort(t);
  const { app } = await buildApp(t, url, [FIXTURE]);
  await app.readiness.release();
  await app.jobs.send('work', { how: 'end' });
  const { boss, take } = await startTaking(t, app);
  const readDelayS = async () => {
    const { rows } = await sql<{ seconds: number }>`
      select extract(epoch from start_after - now())::float as seconds from pgboss.job
      where state = 'retry'`.execute(app.db);
    return rows[0]!.seconds;
  };
  for (let count = 0; count < 9; count++)
    await storeResult(boss, app, await take(), { ...FIRST, outcome: 'returned' });
  t.ok((await readDelayS()) <= 0);
  const returned = await take();
  t.equal(readQueued(returned, JOBS).attempt, 1);
  await storeResult(boss, app, returned, { ...FIRST, outcome: 'retry', retryInMs: 600_000 });
  const delayS = await readDelayS();
  t.ok(delayS > 0 && delayS <= 600, `${delayS} s`);
  t.equal(readQueued(await take(), JOBS).attempt, 2);
  await sql`update pgboss.job set heartbeat_on = now() - interval '1 hour'`.execute(app.db);
  await boss.supervise('work');
  t.ok((await readDelayS()) <= 0);
});

test('A result is dropped if its queue was deleted, or if another worker has the job', async (t) => {
  const { url } = await openPostgresPort(t);
  const { app } = await buildApp(t, url, [FIXTURE]);
  await app.readiness.release();
  const open = async () => {
    const boss = await startBoss({ pool: app.databasePool as Pool }, () => undefined);
    endAfter(t, () => stopBoss(boss));
    return boss;
  };
  const outcomes = ['done', 'retry', 'failed', 'returned'] as const;
  const id = await app.jobs.send('work', { how: 'end' });
  const boss = await open();
  const [queued] = await boss.fetch<object>('work', { includeMetadata: true });
  await sql`update pgboss.job set retry_count = 1, state = 'retry'`.execute(app.db);
  const read = () => sql`select * from pgboss.job where id = ${id}`.execute(app.db);
  const before = (await read()).rows;
  for (const outcome of outcomes) await storeResult(boss, app, queued!, { ...FIRST, outcome });
  t.strictSame((await read()).rows, before);

  await sql`select pgboss.delete_queue('work')`.execute(app.db);
  for (const outcome of outcomes)
    t.equal(await storeResult(boss, app, queued!, { ...FIRST, outcome }), true, outcome);
  const later = await open();
  for (const outcome of outcomes) await storeResult(later, app, queued!, { ...FIRST, outcome });
  await sql`alter schema pgboss rename to hidden`.execute(app.db);
  const settled = storeResult(later, app, queued!, { ...FIRST, outcome: 'done' });
  await t.rejects(settled, { message: /does not exist/ }, 'any other error is not dropped');
});

test('Before the release of a new job, the app is not ready, and send is a 503', async (t) => {
  const { url } = await openPostgresPort(t);
  const folder = await createFolder(t);
  const { app: before } = await buildApp(t, url, [pathToFileURL(`${folder}/`)]);
  await before.readiness.release();
  await before.close();
  const { app, lines } = await buildApp(t, url, [FIXTURE]);
  const send = () => app.jobs.send('work', { how: 'end' });
  const notReleased = { statusCode: 503, code: 'JOBS_NOT_RELEASED' };
  // It also connects, so that the check below does not need its whole time for that.
  await t.rejects(send(), { ...notReleased, message: /^Queue work does not exist/ });
  const readStatus = async () => (await app.readiness.report()).services.database?.status;
  t.equal(await readStatus(), 'down');
  const message = /^Migrations are pending: queue tick, queue tick\/clock, queue work\. /;
  t.match(lines.at(-1), { err: { message } });
  await app.readiness.release();
  await poll(async () => (await readStatus()) === 'up');
  t.type(await send(), 'string');
  await sql`alter schema pgboss rename to hidden`.execute(app.db);
  await t.rejects(send(), { code: /^(3F000|42P01|42883)$/ }, 'any other error stays as it is');
});

test('Tables of an earlier pg-boss wait for release; those of a later one work', async (t) => {
  const { url } = await openPostgresPort(t);
  const { app } = await buildApp(t, url, [FIXTURE]);
  await app.readiness.release();
  const { rows } = await sql<{ version: number }>`select version from pgboss.version`.execute(
    app.db,
  );
  const { version } = rows[0]!;
  const setVersion = async (version: number) =>
    void (await sql`update pgboss.version set version = ${version}`.execute(app.db));
  await setVersion(version - 1);
  const message = /older tables\. Run npm run release/;
  await t.rejects(app.jobs.send('work', { how: 'end' }), { statusCode: 503, message });
  t.equal((await app.readiness.report()).services.database?.status, 'down');
  await setVersion(version + 1);
  t.type(await app.jobs.send('work', { how: 'end' }), 'string');
  await poll(async () => (await app.readiness.report()).services.database?.status === 'up');
  app.jobs.take();
  await poll(async () => {
    const query = sql<{ state: string }>`select state from pgboss.job where name = 'work'`;
    return (await query.execute(app.db)).rows[0]?.state === 'completed';
  });
  await app.readiness.release();
  app.stop();
});

test('A result is stored although the answer of the first try was lost', async (t) => {
  const { app, boss, queued } = await takeOne(t);
  for (const _try of [1, 2])
    t.equal(await storeResult(boss, app, queued, { ...FIRST, outcome: 'done' }), true);
});

test('An app without jobs needs no tables of the queue', async (t) => {
  const folder = await createFolder(t);
  const { app } = await buildApp(t, DOWN, [pathToFileURL(`${folder}/`)]);
  t.strictSame(await app.jobs.findMissing(app.db as never), []);
});

test('The time that pg-boss grants a job does not depend on its timeoutMs', async (t) => {
  const { url } = await openPostgresPort(t);
  const { app } = await buildApp(t, url, [FIXTURE]);
  await app.readiness.release();
  await app.jobs.send('work', { how: 'end' });
  const query = sql<{ seconds: number }>`select expire_seconds as seconds from pgboss.job`;
  t.match((await query.execute(app.db)).rows, [{ seconds: 24 * 60 * 60 }]);
});

test('A run whose job another worker has is not done', async (t) => {
  const { url } = await openPostgresPort(t);
  const { app, lines } = await buildApp(t, url, [FIXTURE], { SHUTDOWN_DELAY_MS: '0' });
  await app.readiness.release();
  app.jobs.take();
  const id = await app.jobs.send('work', { how: 'stop' });
  await poll(() => lines.some(({ msg }) => msg === 'stop begins'));
  // As another worker would, after heartbeats were missing.
  await sql`update pgboss.job set retry_count = retry_count + 1`.execute(app.db);
  app.stop();
  await app.jobs.close();
  const ends = lines.filter((line) => line.id === id && (line.outcome || line.level > 30));
  t.match(ends, [{ level: 40, msg: /another worker has it$/ }, { outcome: 'returned' }]);
});

test('A worker without jobs stops while its database hangs, and runs none later', async (t) => {
  const { url, pause, resume, countPending } = await openPostgresPort(t);
  const folder = await createFolder(t);
  const code = '{ schema: {}, retries: 0, retryDelayMs: 0, timeoutMs: 1, run: async () => {} }';
  await writeFiles(folder, { 'only.js': `export default ${code};` });
  const jobs = [pathToFileURL(`${folder}/`)];
  const { app, lines } = await buildApp(t, url, jobs, { SHUTDOWN_DELAY_MS: '0' });
  await app.readiness.release();
  app.jobs.take();
  const send = (after: number) => app.jobs.send('only' as never, {} as never, { after });
  await send(0);
  await poll(() => lines.some(({ msg }) => msg === 'job done'));
  await send(1_000);
  pause();
  // Meanwhile the worker asks for jobs. It gets the second one when the database answers again.
  await sleep(2_000);
  app.stop();
  const closed = app.jobs.close().then(() => 'closed');
  t.equal(await Promise.race([closed, sleep(10_000, 'late')]), 'closed');
  resume();
  await poll(() => countPending() === 0);
  await sleep(200);
  t.equal(lines.filter(({ outcome }) => outcome).length, 1);
});

test('An error with a name that cannot be stored ends its attempt', async (t) => {
  const { app, boss, queued } = await takeOne(t);
  const err = Object.assign(new Error(), { name: 'a\0b\ud800' });
  await storeResult(boss, app, queued, { ...FIRST, outcome: 'failed', err });
  const { rows } = await sql`select state, output from pgboss.job`.execute(app.db);
  t.strictSame(rows, [{ state: 'failed', output: { error: 'ab\ufffd' } }]);
});

test('A result that cannot be stored is logged, and the worker stops', async (t) => {
  const { app, lines, id } = await startHanging(t, '1000');
  await sql`alter schema pgboss rename to hidden`.execute(app.db);
  app.stop();
  await t.rejects(app.jobs.close(), { message: /^Jobs given back/ });
  t.match(
    lines.filter(({ msg }) => msg.startsWith('The result of the job could not be stored')),
    [{ level: 50, job: 'work', id }],
  );
});

test('A release tries again while the tables of the queue are in use', async (t) => {
  const { url } = await openPostgresPort(t);
  const { app, lines } = await buildApp(t, url, [FIXTURE]);
  let failures = 0;
  const fail = (code: string) => `do $$ begin raise exception using errcode = '${code}'; end $$`;
  const start = (code: string) => {
    const query = (text: string, values: unknown[]) => {
      // pg-boss sends all statements that make its tables as one text.
      const isFailing = /^\s*begin;/i.test(text) && failures-- > 0;
      return app.databasePool!.query(isFailing ? `begin; ${fail(code)}; commit` : text, values);
    };
    return startOwner({ pool: { query } as Pool }, app.log);
  };
  failures = 1;
  await t.rejects(start('42883'), { code: '42883' });
  await app.databasePool!.query('rollback');
  failures = 1;
  const forbidden = /As an administrator, run "create schema pgboss authorization ROLE"\.$/;
  await t.rejects(start('42501'), { message: forbidden, cause: { code: '42501' } });
  await app.databasePool!.query('rollback');
  failures = 5;
  const message = /^The tables of the job queue are in use, .* Run the release again\.$/;
  await t.rejects(start('55P03'), { message, cause: { code: '55P03' } });
  lines.length = 0;
  failures = 2;
  await stopBoss(await start('40P01'));
  const retries = lines.filter(({ msg }) => /in use, .*: trying again$/.test(msg));
  t.match(retries, [{ level: 40, err: { code: '40P01' } }, { level: 40 }]);
});

test('A result is stored while jobs that hang hold the whole pool', async (t) => {
  const { url } = await openPostgresPort(t);
  const { app } = await buildApp(t, url, [FIXTURE]);
  await app.readiness.release();
  const { boss, take } = await startTaking(t, app);
  const ids = await Promise.all([1, 2].map(() => app.jobs.send('work', { how: 'end' })));
  const jobs = [await take(), await take()];
  const client = await app.databasePool!.connect();
  for (const [index, outcome] of (['done', 'failed'] as const).entries())
    t.ok(await storeResult(boss, app, jobs[index]!, { ...FIRST, outcome }));
  const { rows } = await client.query(
    'select state from pgboss.job where id = any($1) order by 1',
    [ids],
  );
  t.strictSame(rows, [{ state: 'completed' }, { state: 'failed' }]);

  const connect = (error: Error) =>
    t.capture(app.databaseSpare!, 'connect', async () => Promise.reject(error));
  const store = () => storeResult(boss, app, jobs[0]!, { ...FIRST, outcome: 'done' });
  const broken = connect(new Error('broken'));
  await t.rejects(store(), { message: 'broken' });
  broken.restore();
  connect(new DatabaseUnavailable(new Error('refused')));
  const stored = store();
  client.release();
  t.ok(await stored, 'without the spare connection, it waits for the pool');
});

test('With DATABASE_DIRECT_URL, heartbeats bypass the pooler', async (t) => {
  const { app, boss, queued } = await takeOne(t);
  const { databasePool, databaseSpare, log } = app;
  for (const [DATABASE_DIRECT_URL, connections] of [[undefined, 0] as const, ['set', 1] as const]) {
    const direct = { databasePool, databaseSpare, config: { DATABASE_DIRECT_URL } };
    const outage = new OutageLog(log);
    await sendHeartbeats(boss, direct as FastifyInstance, ['work'], [queued], outage);
    t.equal(databaseSpare!.totalCount, connections);
  }
});

test('A heartbeat waits for the pool if the spare connection is refused', async (t) => {
  const { app, id } = await startHanging(t, '3000');
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  t.capture(app.databaseSpare!, 'query', async () => {
    resolve();
    throw new Error('refused');
  });
  const client = await app.databasePool!.connect();
  await asked;
  const text = 'select heartbeat_on::text as at from pgboss.job where id = $1';
  const { rows } = await client.query(text, [id]);
  client.release();
  await poll(async () => (await app.databasePool!.query(text, [id])).rows[0].at !== rows[0].at);
  app.stop();
  await t.rejects(app.jobs.close(), { message: /^Jobs given back/ });
});

test('A failing queue leaves others working; running jobs are returned', async (t) => {
  const { url } = await openPostgresPort(t);
  const environment = {
    SHUTDOWN_TIMEOUT_MS: '3000',
    SHUTDOWN_DELAY_MS: '0',
    WORKER_CONCURRENCY: '1',
  };
  // One app: the port has one session, which would mix transactions of two.
  const { app, lines } = await buildApp(t, url, [FIXTURE], environment);
  await app.readiness.release();
  t.strictSame(app.jobs.list(), []);
  await sql`update pgboss.queue set name = 'hidden' where name = 'tick'`.execute(app.db);
  app.jobs.take();
  const waitFor = (text: string) => poll(() => lines.some(({ msg }) => msg.startsWith(text)));
  await waitFor('The job queue is away');
  await app.jobs.send('work', { how: 'end' });
  await waitFor('job done');
  await sql`update pgboss.queue set name = 'tick' where name = 'hidden'`.execute(app.db);
  await waitFor('The job queue is back');
  lines.length = 0;
  await sql`alter schema pgboss rename to hidden`.execute(app.db);
  await waitFor('The job queue is away');
  await waitFor('Scheduling or maintenance of the job queue failed');
  const own = lines.find(({ msg }) => msg.startsWith('Scheduling'));
  t.match(own?.err, { message: /pgboss\..* does not exist/, stack: String }, 'the cause too');
  await sql`alter schema hidden rename to pgboss`.execute(app.db);
  await waitFor('The job queue is back');
  lines.length = 0;
  const id = await app.jobs.send('work', { how: 'hang' });
  await waitFor('hang begins');
  const readBeat = async () => {
    const { rows } = await sql<{ at: Date }>`
      select heartbeat_on as at from pgboss.job where id = ${id}`.execute(app.db);
    return rows[0]!.at.getTime();
  };
  const began = await readBeat();
  await poll(async () => (await readBeat()) > began);
  t.match(app.jobs.list(), [{ job: 'work' }]);
  app.stop();
  await t.rejects(app.jobs.close(), { message: /^Jobs given back/ });
  t.match(
    lines.find(({ outcome, job }) => outcome && job === 'work'),
    { outcome: 'returned', attempt: 1 },
  );
});
