import { Redis } from 'ioredis';
import { type Test, test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { DOWN, type Environment, poll, startProcess, type TestProcess } from '../helper.ts';
import { type RedisServer, startRedis, waitForRedis } from './redis-server.ts';

async function startApp(
  t: Test,
  redis: RedisServer,
  environment: Environment = {},
): Promise<TestProcess> {
  const attached = { DATABASE_URL: DOWN, REDIS_URL: redis.url };
  const app = await startProcess(t, { entry: 'web', environment: { ...attached, ...environment } });
  await waitForRedis(app, 'up');
  return app;
}

/** What is left of the limit, as an answer says it. */
async function askRemaining({ url }: TestProcess, client?: string): Promise<number> {
  const headers: Record<string, string> = client ? { 'x-forwarded-for': client } : {};
  const answer = await fetch(`${url}/nowhere`, { headers });
  await answer.body?.cancel();
  return answer.status === 429 ? -1 : Number(answer.headers.get('ratelimit-remaining'));
}

test('The limit is one for all processes', async (t) => {
  const redis = await startRedis(t, { password: 'hunter2@:/' });
  const first = await startApp(t, redis, { RATE_LIMIT_MAX: '6' });
  const second = await startApp(t, redis, { RATE_LIMIT_MAX: '6' });
  const remaining: number[] = [];
  for (const app of [first, second, first, second, second, first])
    remaining.push(await askRemaining(app, '203.0.113.7'));
  t.strictSame(remaining, [5, 4, 3, 2, 1, 0]);
  for (const app of [first, second])
    t.equal(await askRemaining(app, '203.0.113.7'), -1, 'refused by each of them');
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

test('While Redis is away nobody is limited, and when it is back everybody is', async (t) => {
  const redis = await startRedis(t);
  const app = await startApp(t, redis, { RATE_LIMIT_MAX: '3' });
  for (const remaining of [2, 1, 0, -1]) t.equal(await askRemaining(app), remaining);
  await redis.kill();
  await waitForRedis(app, 'down');
  for (let count = 0; count < 10; count++) t.not(await askRemaining(app), -1);
  await redis.start();
  await waitForRedis(app, 'up');
  await poll(async () => (await askRemaining(app)) === -1);
});
