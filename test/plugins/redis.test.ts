import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { type Test, test } from 'tap';
import env from '../../plugins/env/index.ts';
import errors from '../../plugins/errors/index.ts';
import readiness from '../../plugins/readiness.ts';
import redis from '../../plugins/redis.ts';
import { readConfig } from '../../src/app.ts';
import {
  buildTestApp,
  captureLog,
  DOWN,
  endAfter,
  type LogLine,
  poll,
  REQUIRED,
} from '../helper.ts';

/** The number of requests: enough to detect an error per request. */
const REQUESTS = 20;

async function listen(
  t: Test,
  answer: (socket: Socket) => void,
): Promise<{ server: Server; port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    answer(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  t.teardown(close);
  return { server, port: (server.address() as AddressInfo).port };
}

async function build(t: Test, REDIS_URL: string) {
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, REDIS_URL }, { logger });
  return { app, lines };
}

/** The log lines about Redis, except those of readiness. */
const findWords = (lines: LogLine[]) => lines.filter(({ msg }) => msg.startsWith('Redis is'));

async function readStatus(app: FastifyInstance): Promise<string | undefined> {
  return (await app.readiness.report()).services.redis?.status;
}

test('Without REDIS_URL there is no Redis, and readiness does not list it', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  t.equal(app.redis, undefined);
  t.equal(await readStatus(app), undefined);
});

test('A REDIS_URL of which ioredis would ignore a part is refused', async (t) => {
  const refused = [
    'u:1#p@db',
    'u:1?p@db',
    'u:1/p@db',
    'db/cache',
    '/0',
    'one,two',
    'u:1@one,two',
  ].map((rest) => `redis://${rest}`);
  for (const REDIS_URL of refused)
    await t.rejects(readConfig({ ...REQUIRED, REDIS_URL }), /REDIS_URL is set/, REDIS_URL);
  // ioredis would take these as options, instead of the app's own.
  refused.push(
    ...['connectTimeout=5000', 'db=1&sentinels=x', 'db=x', ''].map(
      (query) => `redis://db?${query}`,
    ),
  );
  for (const rest of ['db', ':p@db:6379/1', 'u:p@[::1]?family=6', 'u:p@ss@db/', 'u:p%23@db'])
    t.match(await readConfig({ ...REQUIRED, REDIS_URL: `rediss://${rest}` }), {});
});

test('While Redis refuses connections, requests are answered', async (t) => {
  const { app, lines } = await build(t, 'redis://:hunter2@127.0.0.1:1');
  for (let count = 0; count < REQUESTS; count++)
    t.equal((await app.inject('/nowhere')).statusCode, 404);
  await poll(() => findWords(lines).length > 0);
  await poll(async () => (await readStatus(app)) === 'down');
  const { status } = await app.readiness.report();
  t.not(status, 'ready');
  t.match(findWords(lines), [
    { level: 40, msg: /^Redis is away/, err: { message: /ECONNREFUSED/ } },
  ]);
  t.equal(findWords(lines).length, 1);
  t.notMatch(JSON.stringify(lines), 'hunter2');
});

test('An app whose Redis is down is degraded', async (t) => {
  const app = Fastify();
  endAfter(t, () => app.close());
  const environment = { ...REQUIRED, REDIS_URL: 'redis://127.0.0.1:1' };
  await app.register(env, { environment });
  for (const plugin of [readiness, errors, redis]) await app.register(plugin);
  t.strictSame(await app.readiness.report(), {
    status: 'degraded',
    services: { redis: { status: 'down' } },
  });
});

test('An app that closes before Redis was ready does not log that Redis is away', async (t) => {
  const { port } = await listen(t, () => undefined);
  const { logger, lines } = captureLog();
  const app = Fastify({ loggerInstance: logger });
  const environment = { ...REQUIRED, REDIS_URL: `redis://127.0.0.1:${port}` };
  await app.register(env, { environment });
  for (const plugin of [readiness, errors, redis]) await app.register(plugin);
  await once(app.redis!, 'connect');
  const ended = new Promise((resolve) => app.redis!.once('end', resolve));
  await app.close();
  await ended;
  t.strictSame(findWords(lines), []);
});

test('A Redis that accepts connections and never answers is down', async (t) => {
  const { port } = await listen(t, () => undefined);
  const { app, lines } = await build(t, `redis://127.0.0.1:${port}`);
  t.equal((await app.inject('/nowhere')).statusCode, 404);
  await poll(() => findWords(lines).length > 0);
  t.equal(await readStatus(app), 'down');
});

test('When Redis is back, one line is logged and readiness is up', async (t) => {
  let isUp = false;
  // The minimal Redis that ioredis accepts as ready.
  const { port } = await listen(t, (socket) => {
    if (isUp) socket.on('data', (data) => socket.write(answerOk(String(data))));
    else socket.destroy();
  });
  const { app, lines } = await build(t, `redis://127.0.0.1:${port}`);
  await poll(() => findWords(lines).length > 0);
  t.equal(await readStatus(app), 'down');
  isUp = true;
  await poll(async () => (await readStatus(app)) === 'up');
  await poll(() => findWords(lines).at(-1)?.level === 30);
  // A process that a busy machine stops for a moment finds Redis away and back once more.
  const change = [{ msg: /^Redis is away/ }, { level: 30, msg: 'Redis is back' }];
  const words = findWords(lines);
  t.match(
    words,
    Array.from(words, (_, index) => change[index % 2]),
  );
});

test('A connection to a Redis that became a replica is replaced', async (t) => {
  let connections = 0;
  const { port } = await listen(t, (socket) => {
    connections += 1;
    const isReplica = connections === 1;
    socket.on('data', (data) => {
      const isWrite = isReplica && String(data).toLowerCase().includes('readiness');
      socket.write(isWrite ? '-READONLY a replica\r\n' : answerOk(String(data)));
    });
  });
  const { app } = await build(t, `redis://127.0.0.1:${port}`);
  await poll(async () => (await readStatus(app)) === 'up');
  t.ok(connections > 1, 'it connected again');
});

test('A Redis without the database of REDIS_URL is down', async (t) => {
  let connections = 0;
  // It answers each command alone: `select` comes with others.
  const refuse = '-ERR DB index is out of range\r\n';
  const { port } = await listen(t, (socket) => {
    connections += 1;
    socket.on('data', (data) => {
      for (const command of String(data).split(/^(?=\*\d+\r$)/m))
        socket.write(/select/i.test(command) ? refuse : answerOk(command));
    });
  });
  const { app, lines } = await build(t, `redis://127.0.0.1:${port}/99`);
  await poll(() => connections > 2);
  t.equal(await readStatus(app), 'down');
  t.match(findWords(lines), [{ err: { message: /DB index is out of range/ } }]);
  t.equal(findWords(lines).length, 1);
});

test('A Redis that is up from the start logs nothing', async (t) => {
  const { port } = await listen(
    t,
    (socket) => void socket.on('data', (data) => socket.write(answerOk(String(data)))),
  );
  const { app, lines } = await build(t, `redis://127.0.0.1:${port}`);
  await poll(async () => (await readStatus(app)) === 'up');
  t.strictSame(findWords(lines), []);
});

/** Answers each command, a list of strings ("*2\r\n$4\r\n…"), with "OK". */
function answerOk(commands: string): string {
  return '+OK\r\n'.repeat(commands.match(/^\*\d+\r$/gm)?.length ?? 0);
}

test('A Redis without TLS at a rediss: URL is down, and the log says what to set', async (t) => {
  const { port } = await listen(
    t,
    (socket) => void socket.on('data', () => socket.write('-ERR no TLS here\r\n')),
  );
  const { lines } = await build(t, `rediss://:hunter2@127.0.0.1:${port}`);
  await poll(() => findWords(lines).length > 0);
  t.match(findWords(lines), [
    { err: { message: /^TLS to Redis failed: [\s\S]*REDIS_TLS=no-verify/ } },
  ]);
  t.notMatch(JSON.stringify(lines), 'hunter2');
});

test('An app whose Redis is down closes and stops reconnecting', async (t) => {
  const { app } = await build(t, 'redis://127.0.0.1:1');
  await app.close();
  await t.rejects(app.redis!.ping());
  // A reconnect timer would keep the process running, which tap reports.
});

test('TLS names the host of REDIS_URL, unless it is an address', async (t) => {
  const names = { localhost: 'localhost', '127.0.0.1': '', '[::1]': '' };
  for (const [host, name] of Object.entries(names)) {
    const { app } = await build(t, `rediss://${host}:1`);
    t.equal(app.redis?.options.tls?.servername, name, host);
  }
});
