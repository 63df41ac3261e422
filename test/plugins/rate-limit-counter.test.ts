import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import Fastify from 'fastify';
import { Redis } from 'ioredis';
import { type Test, test } from 'tap';
import env from '../../plugins/env/index.ts';
import { Counter, readNetworks } from '../../plugins/rate-limit/counter.ts';
import rateLimit from '../../plugins/rate-limit/index.ts';
import { createRedisCounter } from '../../plugins/rate-limit/redis-counter.ts';
import { prepareAnswers } from '../../src/every-answer.ts';
import { captureLog, endAfter, poll, REQUIRED } from '../helper.ts';

test('A flood of addresses is forgotten, but never a client at its limit', async (t) => {
  const counter = new Counter(3);
  const ask = (name: string) => counter.count([{ name, share: 1 }]).remaining;
  for (let count = 0; count < 3; count++) ask('at the limit');
  for (let count = 0; count < 9; count++) ask('over the limit');
  ask('below the limit');
  for (let count = 0; count < 250_000; count++) ask(`address ${count}`);
  t.equal(ask('at the limit'), -1);
  t.equal(ask('over the limit'), -7);
  t.equal(ask('below the limit'), 2);
});

test('With a limit of one, a flood of addresses is forgotten too', async (t) => {
  const counter = new Counter(1);
  const ask = (name: string) => counter.count([{ name, share: 1 }]).remaining;
  for (let count = 0; count < 9; count++) ask('over the limit');
  for (let count = 0; count < 250_000; count++) ask(`address ${count}`);
  t.equal(ask('over the limit'), -9);
  t.equal(ask('address 0'), 0);
  t.equal(ask('address 249999'), -1);
});

test('The whole limit is back after a minute', async (t) => {
  const counter = new Counter(2);
  const ask = (now: number) => counter.count([{ name: 'a', share: 1 }], now);
  t.strictSame(ask(1_000), { remaining: 1, resetMs: 60_000 });
  t.strictSame(ask(60_999), { remaining: 0, resetMs: 1 });
  t.strictSame(ask(61_000), { remaining: 1, resetMs: 60_000 });
});

test('An IPv4 address counts for itself, an IPv6 address for its /64 and /48', async (t) => {
  const names = (address: string) => readNetworks(address).map(({ name }) => name);
  t.strictSame(names('203.0.113.7'), ['203.0.113.7']);
  for (const address of [
    '2001:db8::',
    '2001:0DB8:0:0::1',
    '2001:db8:0:0:1:2:3:4',
    '2001:db8::1.2.3.4',
  ])
    t.strictSame(names(address), ['2001:db8:0:0::/64', '2001:db8:0::/48'], address);
  t.strictSame(names('::1'), ['0:0:0:0::/64', '0:0:0::/48']);
  t.strictSame(names('1:2:3:4:5:6:7::'), ['1:2:3:4::/64', '1:2:3::/48']);
});

/** Starts a fake Redis that answers each transaction with `reply()`. */
async function startRedis(t: Test, reply: () => string): Promise<Redis> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      for (const [, name = ''] of String(data).matchAll(/^\*\d+\r\n\$\d+\r\n(\w+)\r$/gm))
        socket.write(/exec/i.test(name) ? reply() : '+QUEUED\r\n');
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const redis = new Redis(port, '127.0.0.1', { enableReadyCheck: false });
  t.teardown(() => {
    redis.disconnect();
    server.close();
  });
  return redis;
}

test('An app with Redis counts in Redis', async (t) => {
  const app = Fastify();
  endAfter(t, () => app.close());
  prepareAnswers(app);
  app.decorate('redis', await startRedis(t, () => '*3\r\n+OK\r\n:2\r\n:30000\r\n'));
  await app.register(env, { environment: { ...REQUIRED, RATE_LIMIT_MAX: '9' } });
  await app.register(rateLimit);
  t.match((await app.inject('/nowhere')).headers, { 'ratelimit-remaining': '7' });
});

test('When Redis is back, its count is used, and the log says so once', async (t) => {
  let isWell = true;
  const reply = () => (isWell ? '*3\r\n+OK\r\n:2\r\n:30000\r\n' : '-READONLY a replica\r\n');
  const { logger, lines } = captureLog();
  const redis = await startRedis(t, reply);
  const count = createRedisCounter(redis, 9, new Counter(9), logger);
  const ask = () => count(readNetworks('203.0.113.7'));
  t.strictSame(await ask(), { remaining: 7, resetMs: 30_000 });
  isWell = false;
  t.match(await ask(), { remaining: 8 });
  isWell = true;
  await poll(async () => {
    await ask();
    return lines.length === 2;
  });
  t.match(await ask(), { remaining: 7 });
  t.match(lines, [{ err: { message: /READONLY/ } }, { level: 30, msg: /in Redis again$/ }]);
  t.equal(lines.length, 2);
});

/** Counts of a /64 (of 3) and of its /48 (of 30) in Redis, each with its time in milliseconds. */
const PAIRS: [of64: [number, number], of48: [number, number], expected: object][] = [
  [[1, 60_000], [31, 5_000], { remaining: -1, resetMs: 5_000 }],
  [[4, 1_000], [5, 60_000], { remaining: -1, resetMs: 1_000 }],
  [[4, 60_000], [40, 5_000], { remaining: -1, resetMs: 60_000 }],
  [[9, 1_000], [31, 5_000], { remaining: -1, resetMs: 5_000 }],
  [[1, 50_000], [29, 5_000], { remaining: 1, resetMs: 5_000 }],
  [[1, 50_000], [5, 5_000], { remaining: 2, resetMs: 50_000 }],
];

test('The time until the limit is back is that of the network that is limited', async (t) => {
  let answers: [number, number][] = [];
  const reply = () => `*3\r\n+OK\r\n:${answers.shift()!.join('\r\n:')}\r\n`;
  const redis = await startRedis(t, reply);
  const count = createRedisCounter(redis, 3, new Counter(3), captureLog().logger);
  for (const [of64, of48, expected] of PAIRS) {
    answers = [of64, of48];
    t.strictSame(await count(readNetworks('2001:db8::1')), expected, `${of64} and ${of48}`);
  }
});

test('If Redis answers late, the process counts itself, and connects again', async (t) => {
  let now = 1_000;
  t.intercept(performance, 'now', { value: () => now });
  const reply = () => {
    now += 501;
    return '*3\r\n+OK\r\n:2\r\n:30000\r\n';
  };
  const { logger, lines } = captureLog();
  const redis = await startRedis(t, reply);
  const count = createRedisCounter(redis, 9, new Counter(9), logger);
  const networks = readNetworks('203.0.113.7');
  const both = await Promise.all([count(networks), count(networks)]);
  t.strictSame(
    both.map(({ remaining }) => remaining),
    [8, 7],
  );
  await once(redis, 'ready');
  t.match(lines, [{ level: 40, err: { message: /^Redis took \d+ ms to answer$/ } }]);
});

/** Bad answers of Redis to the counting transaction. */
const ANSWERS: Record<string, string> = {
  nothing: '*-1\r\n',
  'an empty list': '*0\r\n',
  'no numbers': '*3\r\n+OK\r\n$4\r\nnull\r\n$-1\r\n',
  'an endless time': '*3\r\n+OK\r\n:1\r\n:-1\r\n',
  'a time of hours': '*3\r\n+OK\r\n:1\r\n:7200000\r\n',
  'a negative count': '*3\r\n+OK\r\n:-5\r\n:1000\r\n',
  'an error': '-LOADING Redis is loading\r\n',
};

for (const [kind, answer] of Object.entries(ANSWERS)) {
  test(`If Redis answers ${kind}, the process counts itself and logs it once`, async (t) => {
    const redis = await startRedis(t, () => answer);
    const { logger, lines } = captureLog();
    const count = createRedisCounter(redis, 2, new Counter(2), logger);
    const networks = readNetworks('203.0.113.7');
    for (const remaining of [1, 0, -1, -2]) t.match(await count(networks), { remaining });
    t.match(lines, [{ level: 40, msg: /^The rate limit is counted in each process/ }]);
    t.equal(lines.length, 1);
  });
}
