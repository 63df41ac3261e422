import { Redis } from 'ioredis';
import { type Test, test } from 'tap';
import { DOWN, type LogLine, poll, startProcess, type TestProcess } from '../helper.ts';
import { type RedisServer, startRedis, waitForRedis } from './redis-server.ts';
import { Stream } from './stream.ts';

const LIMIT = 1_000_000;

async function startApp(t: Test, redis: RedisServer): Promise<TestProcess> {
  const environment = { DATABASE_URL: DOWN, REDIS_URL: redis.url, RATE_LIMIT_MAX: `${LIMIT}` };
  const app = await startProcess(t, { entry: 'web', environment });
  await waitForRedis(app, 'up');
  return app;
}

/** The log lines about Redis, except those of readiness. */
const findWords = ({ lines }: TestProcess): LogLine[] =>
  lines.filter(({ msg }) => msg.startsWith('Redis is'));

test('A wrong password makes Redis down, and the log says why', async (t) => {
  const redis = await startRedis(t, { password: 'right' });
  const url = redis.url.replace('right', 'hunter2');
  const app = await startProcess(t, {
    entry: 'web',
    environment: { DATABASE_URL: DOWN, REDIS_URL: url },
  });
  await waitForRedis(app, 'down');
  await poll(() => findWords(app).length > 0);
  t.match(findWords(app), [{ err: { message: /WRONGPASS/ } }]);
  t.equal((await fetch(app.url)).status, 200);
  t.notMatch(JSON.stringify(app.lines), 'hunter2');
});

test('A database number that Redis does not have makes it down', async (t) => {
  const redis = await startRedis(t);
  const environment = { DATABASE_URL: DOWN, REDIS_URL: `${redis.url}/99`, RATE_LIMIT_MAX: '9' };
  const app = await startProcess(t, { entry: 'web', environment });
  await poll(() => findWords(app).length > 0);
  t.match(findWords(app), [{ err: { message: /DB index is out of range/ } }]);
  await waitForRedis(app, 'down');
  t.equal((await fetch(app.url)).status, 200);
  const client = new Redis(redis.url);
  t.equal(await client.dbsize(), 0, 'nothing is in another database');
  client.disconnect();
  t.equal(findWords(app).length, 1);
});

/** Outages of a Redis, and how they end. */
const OUTAGES: Record<
  string,
  [begin: (redis: RedisServer) => unknown, end: (redis: RedisServer) => unknown]
> = {
  'is killed and started again': [(redis) => redis.kill(), (redis) => redis.start()],
  'hangs and continues': [(redis) => redis.pause(), (redis) => redis.resume()],
  // As in a failover: connections are accepted, and writes wait.
  'pauses writes for a while': [
    (redis) => tell(redis, 'PAUSE', '600000', 'WRITE'),
    (redis) => tell(redis, 'UNPAUSE'),
  ],
};

async function tell(redis: RedisServer, ...command: string[]): Promise<void> {
  const client = new Redis(redis.url);
  await client.call('CLIENT', command);
  client.disconnect();
}

for (const [outage, [begin, end]] of Object.entries(OUTAGES)) {
  test(`A Redis that ${outage} fails no request, and each process counts meanwhile`, async (t) => {
    const redis = await startRedis(t);
    const app = await startApp(t, redis);
    const stream = new Stream(app.url);
    t.teardown(() => stream.stop());
    const waitForMore = async (times = 20) => {
      const before = stream.count(200);
      await poll(() => stream.count(200) >= before + times);
    };
    await waitForMore();
    for (let time = 1; time <= 2; time++) {
      await begin(redis);
      await waitForRedis(app, 'down');
      await waitForMore(100);
      await end(redis);
      await waitForRedis(app, 'up');
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

test('Idle connections that Redis closes are no outage', async (t) => {
  const redis = await startRedis(t);
  const app = await startApp(t, redis);
  const client = new Redis(redis.url);
  t.teardown(() => client.disconnect());
  for (let time = 0; time < 3; time++) {
    await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    t.equal((await fetch(app.url)).status, 200);
    // A connection closed before it is ready would be an outage. It is ready when it has counted.
    await poll(async () => {
      await fetch(app.url);
      return /cmd=exec/.test(String(await client.call('CLIENT', 'LIST')));
    });
  }
  await waitForRedis(app, 'up');
  // A busy machine may exceed the time-out of a connection, which is not tested here.
  const outages = findWords(app).filter(
    ({ err }) => err && !/Socket timeout/.test((err as Error).message),
  );
  t.strictSame(outages, []);
});
