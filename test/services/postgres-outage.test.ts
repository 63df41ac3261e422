import { type Test, test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { type Environment, poll, startProcess, type TestProcess } from '../helper.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';
import { Stream } from './stream.ts';

/** Below the default, so that the test notices a blocked database. */
const REQUEST_TIMEOUT_MS = '2000';

/** The app's sessions in the database. */
const OTHERS = `from pg_stat_activity
  where application_name = '${manifest.name}' and pid <> pg_backend_pid()`;

/** GET reads a table, POST creates it. */
const READING = '/fixture/database/visits';

interface Scene {
  postgres: PostgresServer;
  app: TestProcess;
  stream: Stream;
}

/** Starts an app on a new database, and a stream of requests that read from it. */
async function setScene(t: Test, environment: Environment = {}): Promise<Scene> {
  const postgres = await startPostgres(t);
  const app = await startProcess(t, {
    entry: 'fixture',
    environment: {
      DATABASE_URL: postgres.url,
      REQUEST_TIMEOUT_MS,
      RATE_LIMIT_MAX: '0',
      ...environment,
    },
  });
  await poll(async () => (await fetch(`${app.url}/health/ready`)).status === 200);
  await fetch(app.url + READING, { method: 'POST' });
  const stream = new Stream(app.url + READING);
  t.teardown(() => stream.stop());
  await waitForMore(stream, 200);
  return { postgres, app, stream };
}

test('While the server is full, a process goes on with the connections that it has', async (t) => {
  const { postgres, stream } = await setScene(t);
  await stream.stop();
  const session = await postgres.connect();
  await session.query(`create role web login connection limit 4;
    grant usage on schema public to web; grant all on all tables in schema public to web`);
  const DATABASE_URL = postgres.url.replace('poort@', 'web@');
  const environment = { DATABASE_URL, DATABASE_POOL_MAX: '10', RATE_LIMIT_MAX: '0' };
  const { url } = await startProcess(t, { entry: 'fixture', environment });
  await poll(async () => (await fetch(url + READING)).status === 200);
  const ask = async () => (await fetch(url + READING)).status;
  for (let burst = 0; burst < 5; burst += 1) {
    const statuses = await Promise.all(Array.from({ length: 40 }, ask));
    t.strictSame(new Set(statuses), new Set([200]));
  }
});

/** Resolves after `times` more of this outcome. */
async function waitForMore(stream: Stream, outcome: number | string, times = 20): Promise<void> {
  const before = stream.count(outcome);
  await poll(() => stream.count(outcome) >= before + times);
}

/** Ends the stream, prints its counts, and checks that all failures are 503s. */
async function finish(t: Test, { app, stream }: Scene): Promise<void> {
  await waitForMore(stream, 200);
  await stream.stop();
  for (const line of stream.describe()) t.comment(line);
  t.strictSame(
    Object.keys(stream.outcomes).filter((outcome) => !['200', '503'].includes(outcome)),
    [],
  );
  t.equal(stream.lost, 0, 'no request is lost');
  t.equal(stream.sent, stream.count(200) + stream.count(503), 'each request has one answer');
  const failures = app.lines.filter(({ level }) => level >= 50);
  t.ok(
    failures.every(({ status }) => status === 503),
    'the log has no other error than those of the 503s',
  );
  await poll(async () => (await fetch(`${app.url}/health/ready`)).status === 200);
  app.signal('SIGTERM');
  t.equal(await app.exited, 0, 'the process is still the one that was started');
  t.strictSame(app.noise, []);
}

test('A killed database makes requests answer 503 until it is back', async (t) => {
  const scene = await setScene(t);
  for (let time = 0; time < 2; time++) {
    await scene.postgres.kill();
    await waitForMore(scene.stream, 503);
    await poll(async () => (await fetch(`${scene.app.url}/health/ready`)).status === 503);
    await scene.postgres.start();
    await waitForMore(scene.stream, 200);
    await poll(async () => (await fetch(`${scene.app.url}/health/ready`)).status === 200);
  }
  await finish(t, scene);
  const said = scene.app.lines.map(({ msg }) => msg).filter((msg) => msg.startsWith('database is'));
  t.strictSame(said, [
    'database is down',
    'database is back',
    'database is down',
    'database is back',
  ]);
});

test('Connections that the server ends answer 503 to the requests on them', async (t) => {
  const scene = await setScene(t);
  const admin = await scene.postgres.connect();
  let ended = 0;
  for (let time = 0; time < 20; time++) {
    const { rows } = await admin.query(`select pg_terminate_backend(pid) as ended ${OTHERS}`);
    ended += rows.length;
    await waitForMore(scene.stream, 200, 5);
  }
  t.comment(`${ended} connections ended`);
  await finish(t, scene);
  t.ok(ended > 0);
  t.ok(scene.stream.count(503) <= ended, 'one request for each connection at most');
});

test('A database that hangs makes requests answer 503 until it continues', async (t) => {
  const scene = await setScene(t);
  scene.postgres.pause();
  await waitForMore(scene.stream, 503, 100);
  t.equal((await fetch(`${scene.app.url}/health/ready`)).status, 503);
  t.equal((await fetch(`${scene.app.url}/health/live`)).status, 200);
  scene.postgres.resume();
  await finish(t, scene);
});

test('A locked table makes requests answer 503 until the lock is gone', async (t) => {
  const scene = await setScene(t);
  const admin = await scene.postgres.connect();
  await admin.query('begin; lock table visits in access exclusive mode');
  await waitForMore(scene.stream, 503, 100);
  await admin.query('rollback');
  await finish(t, scene);
});

test('A database without free connections makes requests answer 503', async (t) => {
  const scene = await setScene(t);
  const admin = await scene.postgres.connect();
  // A superuser's connections are not limited.
  await admin.query('alter role poort nosuperuser; alter database postgres connection limit 0');
  await admin.query(`select pg_terminate_backend(pid) ${OTHERS}`);
  await waitForMore(scene.stream, 503, 50);
  await admin.query('alter database postgres connection limit -1');
  await finish(t, scene);
});

test("Requests above the pool's queue are refused at once; the others are answered", async (t) => {
  const scene = await setScene(t, { DATABASE_POOL_MAX: '1', REQUEST_TIMEOUT_MS: '20000' });
  const admin = await scene.postgres.connect();
  await admin.query('begin; lock table visits in access exclusive mode');
  const asked = Array.from(
    { length: 200 },
    async () => (await fetch(`${scene.app.url}${READING}`)).status,
  );
  // The lock is held until the first refusal, so that this did not wait for the lock.
  await scene.app.waitForLine('request failed');
  const refusal = scene.app.lines.find(({ msg }) => msg === 'request failed');
  t.match(refusal, { status: 503, err: { message: /requests wait for a connection/ } });
  await admin.query('rollback');
  const statuses = await Promise.all(asked);
  t.comment(`${statuses.filter((status) => status === 503).length} of ${statuses.length} refused`);
  t.ok(statuses.includes(200) && statuses.includes(503));
  t.ok(statuses.every((status) => status === 200 || status === 503));
  await finish(t, scene);
});

test('A draining process keeps its database until the last request is answered', async (t) => {
  const limits = {
    SHUTDOWN_DELAY_MS: '0',
    SHUTDOWN_TIMEOUT_MS: '120000',
    REQUEST_TIMEOUT_MS: '120000',
  };
  const scene = await setScene(t, limits);
  await scene.stream.stop();
  const admin = await scene.postgres.connect();
  await admin.query('begin; lock table visits in access exclusive mode');
  const asked = Array.from(
    { length: 5 },
    async () => (await fetch(`${scene.app.url}${READING}`)).status,
  );
  const waiting = `select count(*)::int as count ${OTHERS} and wait_event_type = 'Lock'`;
  // Within its transaction, the first session always sees the same activity.
  const observer = await scene.postgres.connect();
  await poll(async () => (await observer.query(waiting)).rows[0].count === asked.length);
  scene.app.signal('SIGTERM');
  const isRefused = () =>
    fetch(scene.app.url).then(
      () => false,
      () => true,
    );
  await poll(isRefused);
  await admin.query('rollback');
  t.strictSame(await Promise.all(asked), [200, 200, 200, 200, 200]);
  t.equal(await scene.app.exited, 0);
  t.strictSame(
    scene.app.lines.filter(({ level }) => level >= 50),
    [],
  );
});

test('A draining process answers every request that the router still sends', async (t) => {
  const { app, stream } = await setScene(t, { SHUTDOWN_DELAY_MS: '8000' });
  const streams = [
    stream,
    ...Array.from({ length: 5 }, () => new Stream(`${app.url}${READING}`, false)),
  ];
  t.teardown(() => Promise.all(streams.map((one) => one.stop())));
  await Promise.all(streams.map((one) => waitForMore(one, 200)));
  app.signal('SIGTERM');
  // A router stops sending when it sees this. All earlier requests have to be answered.
  await poll(async () => (await fetch(`${app.url}/health/ready`)).status === 503);
  await Promise.all(streams.map((one) => waitForMore(one, 200)));
  await Promise.all(streams.map((one) => one.stop()));
  for (const line of streams.flatMap((one) => one.describe())) t.comment(line);
  for (const { outcomes, sent } of streams) t.strictSame(outcomes, { 200: sent });
  t.equal(await app.exited, 0);
});
