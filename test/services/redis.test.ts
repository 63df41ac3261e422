import { Redis } from 'ioredis';
import root, { type Test, test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { type Environment, type LogLine, poll, startProcess, type TestProcess } from '../helper.ts';
import { startPostgres } from './postgres-server.ts';
import { type RedisServer, startRedis } from './redis-server.ts';
import { Stream } from './stream.ts';

/** The tests' environment of an app whose database is up. */
let database: Environment = {};

async function startApp(t: Test, redis: RedisServer, environment: Environment = {}): Promise<TestProcess> {
  const attached = { ...database, REDIS_URL: redis.url };
  const app = await startProcess(t, { entry: 'web', environment: { ...attached, ...environment } });
  await waitForStatus(app, 'ready');
  return app;
}

async function readStatus({ url }: TestProcess): Promise<string> {
  const answer = await fetch(`${url}/health/ready`);
  return ((await answer.json()) as { status: string }).status;
}

const waitForStatus = (app: TestProcess, status: string) => poll(async () => (await readStatus(app)) === status);

/** What is left of the limit, as an answer says it. */
async function askRemaining({ url }: TestProcess, client?: string): Promise<number> {
  const headers: Record<string, string> = client ? { 'x-forwarded-for': client } : {};
  const answer = await fetch(`${url}/nowhere`, { headers });
  await answer.body?.cancel();
  return answer.status === 429 ? -1 : Number(answer.headers.get('ratelimit-remaining'));
}

/** What the log says of Redis, but for what readiness says of it. */
const findWords = ({ lines }: TestProcess): LogLine[] => lines.filter(({ msg }) => msg.startsWith('Redis is'));

root.before(async () => {
  database = { DATABASE_URL: (await startPostgres(root)).url };
});

test('The limit is one for all processes', async (t) => {
  const redis = await startRedis(t, { password: 'hunter2@:/' });
  const first = await startApp(t, redis, { RATE_LIMIT_MAX: '6' });
  const second = await startApp(t, redis, { RATE_LIMIT_MAX: '6' });
  const remaining: number[] = [];
  for (const app of [first, second, first, second, second, first])
    remaining.push(await askRemaining(app, '203.0.113.7'));
  t.strictSame(remaining, [5, 4, 3, 2, 1, 0]);
  for (const app of [first, second]) t.equal(await askRemaining(app, '203.0.113.7'), -1, 'refused by each of them');
  t.equal(await askRemaining(second, '203.0.113.8'), 5, 'another client has a limit of its own');
  for (const { lines } of [first, second]) t.notMatch(JSON.stringify(lines), 'hunter2');
});

test('A process that starts anew does not forget what was asked', async (t) => {
  const redis = await startRedis(t);
  const app = await startApp(t, redis, { RATE_LIMIT_MAX: '3', SHUTDOWN_DELAY_MS: '0' });
  t.equal(await askRemaining(app), 2);
  app.signal('SIGTERM');
  t.equal(await app.exited, 0);
  t.equal(await askRemaining(await startApp(t, redis, { RATE_LIMIT_MAX: '3' })), 1);
});

test('What is counted in Redis is forgotten after a minute, and lies under a name of the app', async (t) => {
  const redis = await startRedis(t);
  await askRemaining(await startApp(t, redis), '203.0.113.7');
  const client = new Redis(redis.url);
  t.teardown(() => client.disconnect());
  t.strictSame(await client.keys('*'), [`${manifest.name}:rate-limit:203.0.113.7`]);
  const expiry = await client.pttl(`${manifest.name}:rate-limit:203.0.113.7`);
  t.ok(expiry > 0 && expiry <= 60_000, `${expiry} ms`);
});

test('A wrong password makes the app degraded, and the log says why', async (t) => {
  const redis = await startRedis(t, { password: 'right' });
  const url = redis.url.replace('right', 'hunter2');
  const app = await startProcess(t, { entry: 'web', environment: { ...database, REDIS_URL: url } });
  await waitForStatus(app, 'degraded');
  await poll(() => findWords(app).length > 0);
  t.match(findWords(app), [{ err: { message: /WRONGPASS/ } }]);
  t.not(await askRemaining(app), -1);
  t.notMatch(JSON.stringify(app.lines), 'hunter2');
});

/** What can befall a Redis, and how that ends. */
const OUTAGES: Record<string, [begin: (redis: RedisServer) => unknown, end: (redis: RedisServer) => unknown]> = {
  'is killed and started again': [(redis) => redis.kill(), (redis) => redis.start()],
  'stands still and goes on': [(redis) => redis.pause(), (redis) => redis.resume()],
};

for (const [outage, [begin, end]] of Object.entries(OUTAGES)) {
  test(`A Redis that ${outage} costs no request: nobody is limited meanwhile`, async (t) => {
    const redis = await startRedis(t);
    const app = await startApp(t, redis, { RATE_LIMIT_MAX: '1000000' });
    const stream = new Stream(`${app.url}/notes`);
    t.teardown(() => stream.stop());
    const waitForMore = async (times = 20) => {
      const before = stream.count(200);
      await poll(() => stream.count(200) >= before + times);
    };
    await waitForMore();
    for (let time = 1; time <= 2; time++) {
      await begin(redis);
      await waitForStatus(app, 'degraded');
      await waitForMore(100);
      await end(redis);
      await waitForStatus(app, 'ready');
      await poll(() => findWords(app).length === 2 * time);
      await waitForMore();
    }
    await stream.stop();
    for (const line of stream.describe()) t.comment(line);
    t.strictSame(stream.outcomes, { 200: stream.sent }, 'every request has its answer');
    t.match(findWords(app), [
      { level: 40, msg: /^Redis is away/ },
      { level: 30, msg: 'Redis is back' },
      { level: 40, msg: /^Redis is away/ },
      { level: 30, msg: 'Redis is back' },
    ]);
    t.notOk(app.lines.some(({ level }) => level >= 50));
  });
}

test('While Redis is away nobody is limited, and when it is back everybody is', async (t) => {
  const redis = await startRedis(t);
  const app = await startApp(t, redis, { RATE_LIMIT_MAX: '3' });
  for (const remaining of [2, 1, 0, -1]) t.equal(await askRemaining(app), remaining);
  await redis.kill();
  await waitForStatus(app, 'degraded');
  for (let count = 0; count < 10; count++) t.not(await askRemaining(app), -1);
  await redis.start();
  await waitForStatus(app, 'ready');
  await poll(async () => (await askRemaining(app)) === -1);
});

test('Connections that Redis closes because they were idle are no outage', async (t) => {
  const redis = await startRedis(t);
  const app = await startApp(t, redis, { RATE_LIMIT_MAX: '1000000' });
  const client = new Redis(redis.url);
  t.teardown(() => client.disconnect());
  for (let time = 0; time < 3; time++) {
    await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    t.equal((await fetch(`${app.url}/notes`)).status, 200);
    await poll(async () => ((await client.client('LIST')) as string).trim().split('\n').length === 2);
  }
  await waitForStatus(app, 'ready');
  t.strictSame(findWords(app), []);
});
