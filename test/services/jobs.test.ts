import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import pg from 'pg';
import { type Test, test } from 'tap';
import { startCollector } from '../fixture/collector.ts';
import {
  buildTestApp,
  captureLog,
  createFolder,
  type Environment,
  type LogLine,
  poll,
  startProcess,
  type TestProcess,
} from '../helper.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';

const JOBS = [new URL('../fixture/jobs/', import.meta.url)];

interface Scene {
  postgres: PostgresServer;
  /** An app that sends jobs and takes none. */
  app: FastifyInstance;
  lines: LogLine[];
  startWorker(environment?: Environment): Promise<TestProcess>;
}

/** A payload of a job that runs until `end` is called, so that no machine is too slow for it. */
async function createWait(t: Test) {
  const file = path.join(await createFolder(t), 'end');
  return { payload: { how: 'wait', file } as const, end: () => writeFileSync(file, '') };
}

/** Starts a PostgreSQL with the queues of test/fixture's jobs. */
async function setScene(t: Test): Promise<Scene> {
  const postgres = await startPostgres(t);
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, { DATABASE_URL: postgres.url }, { logger, jobs: JOBS });
  await app.readiness.release();
  return {
    postgres,
    app,
    lines,
    startWorker: (environment = {}) =>
      startProcess(t, {
        entry: 'job-worker',
        environment: { DATABASE_URL: postgres.url, ...environment },
      }),
  };
}

const listOutcomes = (workers: TestProcess[], id: string | null) =>
  workers.flatMap(({ lines }) => lines.filter((line) => line.id === id && line.outcome));

test('contract 33: A job of a stopped or killed worker is done by another', async (t) => {
  const { app, startWorker } = await setScene(t);

  await t.test(
    'SIGTERM: a worker takes no more jobs, finishes running ones and ends with 0',
    async (t) => {
      const worker = await startWorker();
      const { payload, end } = await createWait(t);
      const id = await app.jobs.send('work', payload);
      await worker.waitForLine('wait begins');
      worker.signal('SIGTERM');
      await worker.waitForLine('Draining');
      const health = await fetch(`${worker.url}/health/ready`);
      t.equal(health.status, 503);
      t.match(await health.json(), { status: 'draining' });
      const later = await app.jobs.send('work', { how: 'end' });
      end();
      t.equal(await worker.exited, 0);
      t.match(listOutcomes([worker], id), [{ outcome: 'done', attempt: 1 }]);
      t.strictSame(listOutcomes([worker], later), []);
    },
  );

  await t.test('SIGTERM: a job that waits for app.stopping ends', async (t) => {
    const worker = await startWorker();
    const id = await app.jobs.send('work', { how: 'stop' });
    await worker.waitForLine('stop begins');
    worker.signal('SIGTERM');
    t.equal(await worker.exited, 0);
    t.match(listOutcomes([worker], id), [{ outcome: 'done' }]);
  });

  await t.test(
    'A job not done at the time-out is returned; another worker takes it at once',
    async (t) => {
      const worker = await startWorker({ SHUTDOWN_TIMEOUT_MS: '4000', SHUTDOWN_DELAY_MS: '3000' });
      const { payload, end } = await createWait(t);
      const id = await app.jobs.send('work', payload);
      await worker.waitForLine('wait begins');
      const other = await startWorker();
      const startedAt = performance.now();
      worker.signal('SIGTERM');
      t.equal(await worker.exited, 1);
      t.ok(performance.now() - startedAt < 4_000, 'before SHUTDOWN_TIMEOUT_MS');
      t.ok(worker.lines.find(({ msg }) => msg.startsWith('aborted: The worker stops')));
      t.match(listOutcomes([worker], id), [{ level: 30, outcome: 'returned', attempt: 1 }]);
      const message = 'Jobs given back, not done within SHUTDOWN_TIMEOUT_MS: 1';
      t.match(worker.lines.at(-1), { level: 60, msg: message });
      await other.waitForLine('wait begins');
      t.comment(`begun by another ${Math.round(performance.now() - startedAt)} ms after SIGTERM`);
      end();
      await poll(() => listOutcomes([other], id).length > 0);
      t.match(listOutcomes([other], id), [{ outcome: 'done', attempt: 1 }], 'that was no attempt');
      other.signal('SIGTERM');
      t.equal(await other.exited, 0);
    },
  );

  await t.test(
    'SIGKILL: another worker does the job within a minute, as its next attempt',
    async (t) => {
      const worker = await startWorker();
      const { payload, end } = await createWait(t);
      const id = await app.jobs.send('work', payload);
      await worker.waitForLine('wait begins');
      const other = await startWorker();
      const startedAt = performance.now();
      worker.signal('SIGKILL');
      await other.waitForLine('wait begins');
      const passedMs = Math.round(performance.now() - startedAt);
      t.ok(passedMs < 60_000, `begun by another after ${passedMs} ms`);
      end();
      await poll(() => listOutcomes([other], id).length > 0);
      t.match(listOutcomes([other], id), [{ outcome: 'done', attempt: 2 }]);
      other.signal('SIGTERM');
      t.equal(await other.exited, 0);
    },
  );
});

test('A job that kills each worker that runs it is given up', async (t) => {
  const { app, startWorker } = await setScene(t);
  const id = await app.jobs.send('work', { how: 'kill' });
  const first = await startWorker();
  t.equal(await first.exited, 'SIGKILL');
  const second = await startWorker();
  t.equal(await second.exited, 'SIGKILL');
  const third = await startWorker();
  await poll(() => listOutcomes([third], id).length > 0);
  const err = {
    message:
      'No attempt is left: the worker was killed at the last one, or the job has fewer retries now',
  };
  t.match(listOutcomes([third], id), [{ level: 50, outcome: 'failed', attempt: 3, err }]);
});

test('A worker waits for its database and the release, and loses no job', async (t) => {
  const { app, postgres, startWorker } = await setScene(t);
  const { payload, end } = await createWait(t);
  const waiting = await app.jobs.send('work', payload);
  const worker = await startWorker();
  await worker.waitForLine('wait begins');
  await postgres.kill();
  await worker.waitForLine('The job queue is away');
  const late = await startWorker();
  await late.waitForLine('The job queue is away');
  await postgres.start();
  const id = await app.jobs.send('work', { how: 'end' });
  await poll(() => listOutcomes([worker, late], id).length > 0);
  t.match(listOutcomes([worker, late], id), [{ outcome: 'done' }]);
  end();
  await poll(() => listOutcomes([worker], waiting).length > 0);
  t.match(listOutcomes([worker], waiting), [{ outcome: 'done', attempt: 1 }]);
  await worker.waitForLine('The job queue is back');
  await late.waitForLine('The job queue is back');
});

test('Two workers whose user owns no table run each scheduled job once', async (t) => {
  const { postgres, startWorker } = await setScene(t);
  const owner = await postgres.connect();
  await owner.query('create role worker login');
  for (const schema of ['public', 'pgboss'])
    await owner.query(`grant usage on schema ${schema} to worker;
      grant select, insert, update, delete on all tables in schema ${schema} to worker`);
  const DATABASE_URL = postgres.url.replace('poort@', 'worker@');
  const workers = [await startWorker({ DATABASE_URL }), await startWorker({ DATABASE_URL })];
  const ticks = () => workers.flatMap(({ lines }) => lines.filter(({ outcome }) => outcome));
  await poll(() => ticks().length > 1);
  const slots = "select distinct singleton_on from pgboss.job where name = '__pgboss__send-it'";
  t.equal(ticks().length, (await owner.query(slots)).rowCount, 'one for each tick');
  for (const { lines } of workers) t.notOk(lines.find(({ level }) => level > 30));
});

test('A release needs no right to create the schema if it exists', async (t) => {
  const { postgres } = await setScene(t);
  const owner = await postgres.connect();
  await owner.query('create role deployer login');
  await owner.query('create database strict');
  const url = postgres.url.replace('poort@', 'deployer@').replace(/[^/]+$/, 'strict');
  const strict = new pg.Client({ connectionString: postgres.url.replace(/[^/]+$/, 'strict') });
  await strict.connect();
  t.teardown(() => strict.end());
  await strict.query('grant all on schema public to deployer');
  const release = () => startProcess(t, { entry: 'release', environment: { DATABASE_URL: url } });
  const refused = await release();
  t.equal(await refused.exited, 1);
  t.match(refused.lines.at(-1), { msg: /run "create schema pgboss authorization ROLE"\.$/ });
  await strict.query('create schema pgboss authorization deployer');
  t.equal(await (await release()).exited, 0);
});

test('release ends when pg-boss has built its indexes', async (t) => {
  const { app, postgres } = await setScene(t);
  const session = await postgres.connect();
  await session.query(`insert into pgboss.bam (name, version, status, table_name, command)
    values ('builds', 1, 'pending', 'job_common',
      'create index concurrently if not exists builds on pgboss.job_common (id)')`);
  // pg-boss checks for builds every 10 s at most; null makes it check now.
  await session.query('update pgboss.version set bam_on = null');
  t.strictSame(await app.readiness.release(), []);
  const { rows } = await session.query("select status from pgboss.bam where name = 'builds'");
  t.strictSame(rows, [{ status: 'completed' }]);
});

test('A job that holds all connections keeps its heartbeat', async (t) => {
  const { app, postgres, startWorker } = await setScene(t);
  const worker = await startWorker({ DATABASE_POOL_MAX: '1' });
  const { payload, end } = await createWait(t);
  const id = await app.jobs.send('work', { ...payload, how: 'hold' });
  await worker.waitForLine('hold begins');
  const session = await postgres.connect();
  const beats = new Set<string>();
  await poll(async () => {
    const query = 'select heartbeat_on::text as at from pgboss.job where id = $1';
    beats.add((await session.query(query, [id])).rows[0].at);
    return beats.size > 2;
  });
  end();
  await poll(() => listOutcomes([worker], id).length > 0);
  t.match(listOutcomes([worker], id), [{ outcome: 'done', attempt: 1 }]);
});

test('A worker that crashes sends the spans of the jobs that have ended', async (t) => {
  const { app, startWorker } = await setScene(t);
  const collector = await startCollector(t);
  const worker = await startWorker({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
  });
  await app.jobs.send('work', { how: 'end' });
  await worker.waitForLine('job done');
  await app.jobs.send('work', { how: 'crash' });
  t.equal(await worker.exited, 1);
  t.ok(collector.spans.some(({ name }) => name === 'process work'));
});

test('release deletes the queues of removed jobs, also while others run it', async (t) => {
  const { app, postgres, lines } = await setScene(t);
  const { logger, lines: later } = captureLog();
  const other = await buildTestApp(t, { DATABASE_URL: postgres.url }, { logger });
  for (let i = 0; i < 3; i++) await app.jobs.send('work', { how: 'end' }, { after: 60_000 });
  await Promise.all([other.readiness.release(), other.readiness.release()]);
  const applied = [...lines, ...later].flatMap((line) => (line.applied ?? []) as string[]);
  for (const name of ['work', 'tick', 'tick/clock'])
    for (const step of [`queue ${name}`, `no queue ${name}`]) t.ok(applied.includes(step), step);
  t.match(
    [...lines, ...later].filter(({ deleted }) => deleted),
    [{ level: 40, job: 'work', deleted: 3 }],
  );
  await t.rejects(app.jobs.send('work', { how: 'end' }), { message: /Queue work does not exist/ });
});
