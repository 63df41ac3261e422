import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { type Test, test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { DOWN, type Environment, poll, startProcess, type TestProcess } from '../helper.ts';
import { type RedisServer, startRedis, waitForRedis } from './redis-server.ts';
import { startTcpProxy } from './tcp-proxy.ts';

async function startApp(
  t: Test,
  redis: Pick<RedisServer, 'url'>,
  environment: Environment = {},
): Promise<TestProcess> {
  const attached = { DATABASE_URL: DOWN, REDIS_URL: redis.url };
  const app = await startProcess(t, { entry: 'web', environment: { ...attached, ...environment } });
  await waitForRedis(app, 'up');
  return app;
}

/** Returns an answer's remaining limit. */
async function askRemaining({ url }: TestProcess, client?: string): Promise<number> {
  const headers: Record<string, string> = client ? { 'x-forwarded-for': client } : {};
  const answer = await fetch(`${url}/nowhere`, { headers });
  await answer.body?.cancel();
  return answer.status === 429 ? -1 : Number(answer.headers.get('ratelimit-remaining'));
}

test('All processes share one limit', async (t) => {
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

test('A restarted process keeps the counts', async (t) => {
  const redis = await startRedis(t);
  const app = await startApp(t, redis, { RATE_LIMIT_MAX: '3', SHUTDOWN_DELAY_MS: '0' });
  t.equal(await askRemaining(app), 2);
  app.signal('SIGTERM');
  t.equal(await app.exited, 0);
  t.equal(await askRemaining(await startApp(t, redis, { RATE_LIMIT_MAX: '3' })), 1);
});

test("Counts in Redis expire after a minute, and their keys have the app's name", async (t) => {
  const redis = await startRedis(t);
  await askRemaining(await startApp(t, redis), '203.0.113.7');
  const client = new Redis(redis.url);
  t.teardown(() => client.disconnect());
  t.strictSame(await client.keys('*'), [`${manifest.name}:rate-limit:203.0.113.7`]);
  const expiry = await client.pttl(`${manifest.name}:rate-limit:203.0.113.7`);
  t.ok(expiry > 0 && expiry <= 60_000, `${expiry} ms`);
});

test('Retry-After is the time of the network that is limited', async (t) => {
  const redis = await startRedis(t);
  const { url } = await startApp(t, redis, { RATE_LIMIT_MAX: '3' });
  const client = new Redis(redis.url);
  t.teardown(() => client.disconnect());
  const key = `${manifest.name}:rate-limit:2001:db8:0`;
  for (const [network, count, minutes] of [
    ['::/48', 30, 0.5],
    [':0::/64', 3, 1],
  ] as const) {
    await client.set(`${key}${network}`, count, 'PX', minutes * 60_000);
    const answer = await fetch(`${url}/nowhere`, { headers: { 'x-forwarded-for': '2001:db8::1' } });
    t.equal(answer.status, 429);
    const seconds = Number(answer.headers.get('retry-after'));
    t.ok(seconds > minutes * 60 - 20 && seconds <= minutes * 60, `${seconds} s`);
  }
});

test('While Redis is down each process counts; when it is back all count together', async (t) => {
  const redis = await startRedis(t);
  const app = await startApp(t, redis, { RATE_LIMIT_MAX: '3' });
  for (const remaining of [2, 1, 0, -1]) t.equal(await askRemaining(app), remaining);
  await redis.kill();
  await waitForRedis(app, 'down');
  for (const remaining of [2, 1, 0, -1, -1]) t.equal(await askRemaining(app), remaining);
  await redis.start();
  await waitForRedis(app, 'up');
  await waitForWords(app, 2);
});

test('While the answers of Redis trickle in, each process counts', async (t) => {
  const redis = await startRedis(t);
  let isSlow = false;
  async function* trickle(answers: AsyncIterable<Buffer>) {
    for await (const answer of answers) {
      for (let at = 0; at < answer.length; at += 60) {
        if (isSlow) await sleep(300);
        yield answer.subarray(at, at + 60);
      }
    }
  }
  const proxy = await startTcpProxy(t, Number(new URL(redis.url).port), trickle);
  const url = proxy.url.replace('http:', 'redis:');
  const app = await startApp(t, { url }, { REQUEST_TIMEOUT_MS: '4000' });
  isSlow = true;
  const asked = Array.from({ length: 60 }, async (_, index) => {
    await sleep(100 * index);
    return (await fetch(`${app.url}/nowhere`)).status;
  });
  t.strictSame(new Set(await Promise.all(asked)), new Set([404]));
  t.match(findWords(app), [{ level: 40 }]);
});

/** Other values under a counter's key. */
const GARBAGE: Record<string, string[]> = {
  text: ['SET', 'KEY', 'garbage'],
  null: ['SET', 'KEY', 'null'],
  'a fraction': ['SET', 'KEY', '1.5'],
  'a number that never expires': ['SET', 'KEY', '-1000000'],
  'a list': ['RPUSH', 'KEY', 'a'],
  'a hash': ['HSET', 'KEY', 'current', '1', 'ttl', 'null'],
};

for (const [kind, command] of Object.entries(GARBAGE)) {
  test(`A client is limited with ${kind} under its key`, async (t) => {
    const redis = await startRedis(t);
    const app = await startApp(t, redis, { RATE_LIMIT_MAX: '3' });
    const client = new Redis(redis.url);
    t.teardown(() => client.disconnect());
    const key = `${manifest.name}:rate-limit:203.0.113.7`;
    const [name = '', ...rest] = command;
    await client.call(name, ...rest.map((part) => part.replace('KEY', key)));
    const remaining: number[] = [];
    for (let count = 0; count < 12; count++) remaining.push(await askRemaining(app, '203.0.113.7'));
    // If Redis is late again, the process counts too: each of the two lets three pass.
    const passed = remaining.filter((left) => left >= 0).length;
    t.ok(passed >= 3 && passed <= 6, `${passed} of 12 passed`);
    // If the requests took more than a second, Redis counts again: each change is logged once.
    const levels = findWords(app).map(({ level }) => level);
    t.equal(levels[0], 40);
    t.notOk(levels.some((level, at) => level === levels[at + 1]));
  });
}

/** Commands that make Redis answer PING but refuse writes, and commands that end this. */
const REFUSALS: Record<string, [begin: string[][], end: string[][], reason: RegExp]> = {
  'is a replica': [
    [['REPLICAOF', '127.0.0.1', '1']],
    [['REPLICAOF', 'NO', 'ONE']],
    /READONLY|MASTERDOWN/,
  ],
  'is full': [[['CONFIG', 'SET', 'maxmemory', '1']], [['CONFIG', 'SET', 'maxmemory', '0']], /OOM/],
  'lacks replicas': [
    [['CONFIG', 'SET', 'min-replicas-to-write', '1']],
    [['CONFIG', 'SET', 'min-replicas-to-write', '0']],
    /NOREPLICAS/,
  ],
  'denies writes': [
    [['ACL', 'SETUSER', 'default', '-@write']],
    [['ACL', 'SETUSER', 'default', '+@all']],
    /NOPERM/,
  ],
};

for (const [state, [begin, end, reason]] of Object.entries(REFUSALS)) {
  test(`A Redis that ${state} is down, and each process counts meanwhile`, async (t) => {
    const redis = await startRedis(t);
    const app = await startApp(t, redis, { RATE_LIMIT_MAX: '3' });
    const client = new Redis(redis.url);
    t.teardown(() => client.disconnect());
    for (const [name = '', ...rest] of begin) await client.call(name, ...rest);
    for (const remaining of [2, 1, 0, -1, -1])
      t.equal(await askRemaining(app, '203.0.113.7'), remaining);
    t.match(findWords(app), [{ level: 40, err: { message: reason } }]);
    t.equal(findWords(app).length, 1);
    await waitForRedis(app, 'down');
    for (const [name = '', ...rest] of end) await client.call(name, ...rest);
    await waitForRedis(app, 'up');
    await waitForWords(app, 2);
    t.equal(await askRemaining(app, '203.0.113.9'), 2, 'counted in Redis again');
    t.equal(await client.get(`${manifest.name}:rate-limit:203.0.113.9`), '1');
  });
}

/** The log lines about where the limit is counted. */
function findWords({ lines }: TestProcess) {
  return lines.filter(({ msg }) => msg.startsWith('The rate limit is counted in'));
}

/** Sends requests until the log has this many such lines. */
async function waitForWords(app: TestProcess, count: number): Promise<void> {
  await poll(async () => {
    await askRemaining(app, '203.0.113.99');
    return findWords(app).length >= count;
  });
}
