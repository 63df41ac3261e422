import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import { buildTestApp, DOWN } from '../helper.ts';

const ORIGIN = 'https://example.com';

const ask = (app: FastifyInstance, origin: string, url = '/health/live') => app.inject({ url, headers: { origin } });

/** What a browser asks before it sends a PATCH with JSON from a page of another origin. */
const askFirst = (app: FastifyInstance, origin: string) =>
  app.inject({
    method: 'OPTIONS',
    url: '/notes/1',
    headers: {
      origin,
      'access-control-request-method': 'PATCH',
      'access-control-request-headers': 'content-type',
    },
  });

const findHeaders = (headers: object) => Object.keys(headers).filter((name) => name.startsWith('access-control-'));

test('Without CORS_ORIGIN no page of another origin gets anything', async (t) => {
  const app = await buildTestApp(t);
  t.strictSame(findHeaders((await ask(app, ORIGIN)).headers), []);
  const preflight = await askFirst(app, ORIGIN);
  t.equal(preflight.statusCode, 405);
  t.strictSame(findHeaders(preflight.headers), []);
});

test('With CORS_ORIGIN the pages of those origins may ask, and no other', async (t) => {
  const app = await buildTestApp(t, { CORS_ORIGIN: `${ORIGIN}, http://localhost:3000` });
  for (const origin of [ORIGIN, 'http://localhost:3000']) {
    const { headers } = await ask(app, origin);
    t.equal(headers['access-control-allow-origin'], origin);
    t.match(headers.vary, /\borigin\b/i, 'a cache keeps the answers apart');
    t.notOk(headers['access-control-allow-credentials']);
  }
  const others = ['https://example.com.evil.example', 'http://example.com', 'https://example.com:8443', 'null', ''];
  for (const origin of others) {
    const { statusCode, headers } = await ask(app, origin);
    t.equal(statusCode, 200);
    t.notOk(headers['access-control-allow-origin'], origin);
    t.match(headers.vary, /\borigin\b/i);
    t.notOk((await askFirst(app, origin)).headers['access-control-allow-origin'], origin);
  }
});

test('A preflight is answered, for two hours', async (t) => {
  const app = await buildTestApp(t, { CORS_ORIGIN: ORIGIN });
  const { statusCode, headers, body } = await askFirst(app, ORIGIN);
  t.equal(statusCode, 204);
  t.equal(body, '');
  t.match(headers, {
    'access-control-allow-origin': ORIGIN,
    'access-control-allow-headers': 'content-type',
    'access-control-max-age': '7200',
  });
  const methods = String(headers['access-control-allow-methods']).split(', ').sort();
  t.strictSame(methods, ['DELETE', 'GET', 'HEAD', 'PATCH', 'POST', 'PUT']);
});

test('With CORS_ORIGIN=* every page may ask', async (t) => {
  const app = await buildTestApp(t, { CORS_ORIGIN: '*' });
  for (const origin of [ORIGIN, 'https://another.example', 'null']) {
    t.equal((await ask(app, origin)).headers['access-control-allow-origin'], '*');
    t.equal((await askFirst(app, origin)).headers['access-control-allow-origin'], '*');
  }
});

test('A page can read why it failed, what its request was called, and when to come again', async (t) => {
  const app = await buildTestApp(t, { CORS_ORIGIN: ORIGIN, DATABASE_URL: DOWN, RATE_LIMIT_MAX: '4' });
  const statuses: number[] = [];
  for (const url of ['/nowhere', '/notes/1', '/notes', '/nowhere', '/nowhere']) {
    const { statusCode, headers } = await ask(app, ORIGIN, url);
    statuses.push(statusCode);
    t.equal(headers['access-control-allow-origin'], ORIGIN, `${statusCode}`);
    const exposed = String(headers['access-control-expose-headers']).split(', ');
    for (const name of ['x-request-id', 'ratelimit-remaining']) t.ok(headers[name] && exposed.includes(name), name);
    if (headers['retry-after']) t.ok(exposed.includes('retry-after'));
  }
  t.strictSame(statuses, [404, 400, 503, 404, 429]);
});

test('What is no list of origins is refused at the start', async (t) => {
  const wrong = [
    '*, https://example.com',
    'example.com',
    'https://example.com/',
    'https://*.example.com',
    'ftp://a.example',
  ];
  for (const CORS_ORIGIN of wrong) {
    await t.rejects(buildTestApp(t, { CORS_ORIGIN }), { message: /CORS_ORIGIN/ }, CORS_ORIGIN);
  }
});
