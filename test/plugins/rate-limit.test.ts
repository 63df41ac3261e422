import { once } from 'node:events';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { test } from 'tap';
import { buildAppWithRoutes, buildTestApp, captureLog, DOWN, poll } from '../helper.ts';

/** A public address. */
const CLIENT = '203.0.113.7';

/** Sends a request from this address with this X-Forwarded-For, and returns the remaining limit. */
async function askRemaining(
  app: FastifyInstance,
  remoteAddress: string,
  forwarded?: string,
): Promise<number> {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  const answer = await app.inject({ url: '/nowhere', remoteAddress, headers });
  return Number(answer.headers['ratelimit-remaining']);
}

test('A client over its limit gets 429 with Retry-After', async (t) => {
  const app = await buildTestApp(t, { RATE_LIMIT_MAX: '2' });
  const ask = (options?: InjectOptions) =>
    app.inject({ url: '/', remoteAddress: CLIENT, ...options });
  for (const remaining of ['1', '0']) {
    const { statusCode, headers } = await ask();
    t.equal(statusCode, 200);
    t.match(headers, {
      'ratelimit-limit': '2',
      'ratelimit-remaining': remaining,
      'ratelimit-reset': /^\d+$/,
    });
    t.notOk(headers['retry-after']);
  }
  const answer = await ask();
  t.equal(answer.statusCode, 429);
  t.strictSame(Object.keys(answer.json()), ['statusCode', 'code', 'error', 'message']);
  t.match(answer.json(), {
    statusCode: 429,
    code: 'TOO_MANY_REQUESTS',
    error: 'Too Many Requests',
    message: /retry in/,
  });
  t.match(answer.headers, { 'ratelimit-limit': '2', 'ratelimit-remaining': '0' });
  const seconds = Number(answer.headers['retry-after']);
  t.ok(seconds > 0 && seconds <= 60, `${seconds} s`);
  t.equal(
    (await ask({ remoteAddress: '203.0.113.8' })).statusCode,
    200,
    'another client has a limit of its own',
  );
});

test('Unknown paths, wrong methods and malformed requests count too', async (t) => {
  const routes = [
    new URL('../../routes/', import.meta.url),
    new URL('../fixture/routes/', import.meta.url),
  ];
  const app = await buildTestApp(t, { RATE_LIMIT_MAX: '3' }, { routes });
  const malformed: InjectOptions = { method: 'POST', url: '/echo', payload: {} };
  const requests: InjectOptions[] = [
    { url: '/nowhere' },
    { method: 'PUT', url: '/echo' },
    malformed,
  ];
  const statuses = [];
  for (const request of [...requests, ...requests])
    statuses.push((await app.inject(request)).statusCode);
  t.strictSame(statuses, [404, 405, 400, 429, 429, 429]);
});

test('Health routes do not count and are never limited', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, RATE_LIMIT_MAX: '1' });
  for (let count = 0; count < 5; count++) {
    const { statusCode, headers } = await app.inject('/health/live');
    t.equal(statusCode, 200);
    t.notOk(headers['ratelimit-limit']);
  }
  t.equal((await app.inject('/')).statusCode, 200, 'health requests do not count');
  t.equal((await app.inject('/')).statusCode, 429);
  t.not((await app.inject('/health/ready')).statusCode, 429);
});

test('A WebSocket over the limit is refused, and its connection closed', async (t) => {
  const routes = `
    import websocket from '${import.meta.resolve('../fixture/websocket.ts')}';
    export default async (app) => {
      await app.register(websocket);
      app.get('/socket', { websocket: true }, () => undefined);
    };`;
  const { app, lines } = await buildAppWithRoutes(t, routes, { RATE_LIMIT_MAX: '1' });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  await fetch(url);
  await once(new WebSocket(`${url}/socket`), 'close');
  await poll(() => lines.some(({ path, status }) => path === '/socket' && status === 429));
  t.equal(app.openRequests.list().length, 0);
});

test('RATE_LIMIT_MAX=0 is no limit', async (t) => {
  const app = await buildTestApp(t, { RATE_LIMIT_MAX: '0' });
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => app.inject('/')));
  t.ok(
    answers.every(({ statusCode, headers }) => statusCode === 200 && !headers['ratelimit-limit']),
  );
});

test('Without Redis, one log line says that each process counts for itself', async (t) => {
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, {}, { logger });
  await app.inject('/');
  await app.inject('/');
  t.equal(lines.filter(({ msg }) => msg.startsWith('No Redis is attached')).length, 1);
});

test('IPv6 clients of one /64 share a limit', async (t) => {
  const app = await buildTestApp(t, { RATE_LIMIT_MAX: '9' });
  t.equal(await askRemaining(app, '2001:db8:1:2::1'), 8);
  t.equal(await askRemaining(app, '2001:db8:1:2:ffff:ffff:ffff:ffff'), 7);
  t.equal(await askRemaining(app, '2001:0DB8:0001:0002::9'), 6);
  t.equal(await askRemaining(app, '2001:db8:1:3::1'), 8, 'its neighbour');
});

test('An IPv6 /48 has the limit of ten clients', async (t) => {
  const app = await buildTestApp(t, { RATE_LIMIT_MAX: '3' });
  const ask = async (network: number) =>
    (await app.inject({ url: '/nowhere', remoteAddress: `2001:db8:1:${network}::1` })).statusCode;
  for (let network = 0; network < 30; network++) t.equal(await ask(network), 404);
  for (let network = 0; network < 40; network++) t.equal(await ask(network), 429);
  t.equal(await askRemaining(app, '2001:db8:2::1'), 2, 'another /48');
});

test('X-Forwarded-For may have ports and brackets in each entry', async (t) => {
  const app = await buildTestApp(t, { RATE_LIMIT_MAX: '9' });
  t.equal(await askRemaining(app, '10.1.2.3', `${CLIENT}:51234`), 8);
  t.equal(await askRemaining(app, '10.1.2.3', `198.51.100.1, ${CLIENT}:51235, 10.0.0.1:80`), 7);
  t.equal(await askRemaining(app, '10.1.2.3', `::ffff:${CLIENT}`), 6);
  t.equal(await askRemaining(app, '10.1.2.3', '[2001:db8::1]:443'), 8);
  t.equal(await askRemaining(app, '10.1.2.3', '2001:db8::2'), 7);
});

test("The client is Cloudflare's visitor if TRUST_PROXY names cloudflare", async (t) => {
  const RATE_LIMIT_MAX = '9';
  const forwarded = `${CLIENT}, 172.68.1.2`;
  const app = await buildTestApp(t, {
    RATE_LIMIT_MAX,
    TRUST_PROXY: 'loopback,linklocal,uniquelocal,cloudflare',
  });
  t.equal(await askRemaining(app, '10.1.2.3', forwarded), 8);
  t.equal(await askRemaining(app, CLIENT), 7);
  const other = await buildTestApp(t, { RATE_LIMIT_MAX });
  t.equal(await askRemaining(other, '10.1.2.3', forwarded), 8);
  t.equal(await askRemaining(other, '172.68.1.2'), 7, 'without it, Cloudflare is the client');
});

test('The Forwarded header is ignored', async (t) => {
  const app = await buildTestApp(t, { RATE_LIMIT_MAX: '9' });
  const headers = { forwarded: 'for=198.51.100.1', 'x-real-ip': '198.51.100.2' };
  for (const remaining of ['8', '7']) {
    const answer = await app.inject({ url: '/nowhere', remoteAddress: '10.1.2.3', headers });
    t.equal(answer.headers['ratelimit-remaining'], remaining);
  }
});

test('An IPv4-mapped IPv6 address counts as the IPv4 address', async (t) => {
  const app = await buildTestApp(t, { RATE_LIMIT_MAX: '9' });
  t.equal(await askRemaining(app, CLIENT), 8);
  t.equal(await askRemaining(app, `::ffff:${CLIENT}`), 7);
  t.equal(await askRemaining(app, '::1', '::ffff:cb00:7107'), 6, 'the form of some proxies');
  t.equal(
    await askRemaining(app, '::ffff:203.0.113.8'),
    8,
    'IPv4 clients do not share the /64 of ::ffff',
  );
});

test('X-Forwarded-For of an untrusted client is ignored', async (t) => {
  const app = await buildTestApp(t, { RATE_LIMIT_MAX: '9' });
  t.equal(await askRemaining(app, CLIENT), 8);
  t.equal(await askRemaining(app, CLIENT, '198.51.100.1'), 7);
  t.equal(await askRemaining(app, CLIENT, '127.0.0.1, 10.0.0.1'), 6);
});

test('The client is the rightmost address that is not a trusted proxy', async (t) => {
  const app = await buildTestApp(t, { RATE_LIMIT_MAX: '9' });
  t.equal(await askRemaining(app, CLIENT), 8);
  t.equal(await askRemaining(app, '10.1.2.3', CLIENT), 7);
  t.equal(
    await askRemaining(app, '10.1.2.3', `198.51.100.1, ${CLIENT}`),
    6,
    "the client's own entry is further left",
  );
  t.equal(await askRemaining(app, '10.1.2.3', `10.9.9.9, ${CLIENT}, 192.168.7.7, 10.0.0.1`), 5);
  t.equal(
    await askRemaining(app, '10.1.2.3', '10.9.9.9'),
    8,
    'a client inside the network of the proxies',
  );
});

test('Only the proxies in TRUST_PROXY are trusted', async (t) => {
  const app = await buildTestApp(t, {
    RATE_LIMIT_MAX: '9',
    TRUST_PROXY: '198.51.100.0/24, 2001:db8::1',
  });
  t.equal(await askRemaining(app, CLIENT), 8);
  t.equal(await askRemaining(app, '198.51.100.9', CLIENT), 7);
  t.equal(await askRemaining(app, '2001:db8::1', CLIENT), 6);
  t.equal(await askRemaining(app, '10.1.2.3', CLIENT), 8, 'a private address is not a proxy here');
});

/** The addresses of platforms' proxies, according to their documentation. */
const PROXIES = {
  'Heroku, Dokku, Scalingo': '10.1.2.3',
  Docker: '172.16.0.1',
  'a home or an office': '192.168.1.1',
  Railway: '100.64.0.2',
  'Fly, over IPv6': 'fdaa:0:1::3',
  'Cloud Run': '169.254.169.126',
  'the machine itself': '127.0.0.1',
  'the machine itself, over IPv6': '::1',
  'a link-local neighbour': 'fe80::1',
  'a socket of both families': '::ffff:10.1.2.3',
};

test('The proxies of the platforms are trusted by default', async (t) => {
  const app = await buildTestApp(t, { RATE_LIMIT_MAX: '99' });
  let remaining = 99;
  for (const [platform, address] of Object.entries(PROXIES)) {
    t.equal(await askRemaining(app, address, CLIENT), --remaining, `${platform}: ${address}`);
  }
});
