import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import { buildAppWithRoutes, buildTestApp } from '../helper.ts';

const ORIGIN = 'https://example.com';

/** Routes that fail with a 4xx and a 503. */
const FAILING = `
  import createError from '${import.meta.resolve('@fastify/error')}';
  export default async (app) => {
    app.get('/refused', async () => { throw new (createError('REFUSED', 'no', 400))() });
    app.get('/translated', async (request, reply) => {
      reply.header('vary', 'Accept-Language');
      return {};
    });
    app.get('/translated-refusal', async (request, reply) => {
      reply.header('vary', 'Accept-Language, Origin');
      throw new (createError('REFUSED', 'nein', 400))();
    });
    app.get('/any', async (request, reply) => reply.header('vary', '*').send({}));
    app.get('/away', async () => { throw new (createError('AWAY', 'away', 503))() });
  };
`;

const ask = (app: FastifyInstance, origin: string, url = '/health/live') =>
  app.inject({ url, headers: { origin } });

/** Sends a browser's preflight for a PATCH with JSON. */
const askFirst = (app: FastifyInstance, origin: string) =>
  app.inject({
    method: 'OPTIONS',
    url: '/health/live',
    headers: {
      origin,
      'access-control-request-method': 'PATCH',
      'access-control-request-headers': 'content-type',
    },
  });

const findHeaders = (headers: object) =>
  Object.keys(headers).filter((name) => name.startsWith('access-control-'));

test('Without CORS_ORIGIN, no page of another origin is allowed', async (t) => {
  const app = await buildTestApp(t);
  t.strictSame(findHeaders((await ask(app, ORIGIN)).headers), []);
  const preflight = await askFirst(app, ORIGIN);
  t.equal(preflight.statusCode, 405);
  t.strictSame(findHeaders(preflight.headers), []);
});

test('With CORS_ORIGIN, only pages of those origins are allowed', async (t) => {
  const app = await buildTestApp(t, { CORS_ORIGIN: `${ORIGIN}, http://localhost:3000` });
  for (const origin of [ORIGIN, 'http://localhost:3000']) {
    const { headers } = await ask(app, origin);
    t.equal(headers['access-control-allow-origin'], origin);
    t.match(headers.vary, /\borigin\b/i, 'a cache keeps the answers apart');
    t.notOk(headers['access-control-allow-credentials']);
  }
  const others = [
    'https://example.com.evil.example',
    'http://example.com',
    'https://example.com:8443',
    'null',
    '',
  ];
  for (const origin of others) {
    const { statusCode, headers } = await ask(app, origin);
    t.equal(statusCode, 200);
    t.notOk(headers['access-control-allow-origin'], origin);
    t.match(headers.vary, /\borigin\b/i);
    t.notOk((await askFirst(app, origin)).headers['access-control-allow-origin'], origin);
  }
});

test('An origin may be written in another way than browsers write it', async (t) => {
  const app = await buildTestApp(t, {
    CORS_ORIGIN: 'https://Example.com:443,http://bücher.example',
  });
  for (const origin of [ORIGIN, 'http://xn--bcher-kva.example'])
    t.equal((await ask(app, origin)).headers['access-control-allow-origin'], origin);
});

test('A preflight is answered and may be cached for two hours', async (t) => {
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

test('A preflight may ask for another method that a route has', async (t) => {
  const app = await buildTestApp(t, { CORS_ORIGIN: ORIGIN });
  for (const [method, isAllowed] of [
    ['QUERY', true],
    ['BREW', false],
  ] as const) {
    const headers = { origin: ORIGIN, 'access-control-request-method': method };
    const answer = await app.inject({ method: 'OPTIONS', url: '/health/live', headers });
    t.equal(`${answer.headers['access-control-allow-methods']}`.endsWith(method), isAllowed);
  }
});

test('A route may set its own Vary', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING, { CORS_ORIGIN: ORIGIN });
  for (const url of ['/translated', '/translated-refusal']) {
    const { headers } = await ask(app, ORIGIN, url);
    t.match(headers.vary, /^Accept-Language, Origin$/i, url);
  }
  t.equal((await ask(app, ORIGIN, '/any')).headers.vary, '*');
});

test('With CORS_ORIGIN=*, pages of every origin are allowed', async (t) => {
  const app = await buildTestApp(t, { CORS_ORIGIN: '*' });
  for (const origin of [ORIGIN, 'https://another.example', 'null']) {
    t.equal((await ask(app, origin)).headers['access-control-allow-origin'], '*');
    t.equal((await askFirst(app, origin)).headers['access-control-allow-origin'], '*');
  }
});

test('A page of another origin can read an error, its X-Request-ID and Retry-After', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING, { CORS_ORIGIN: ORIGIN });
  for (const [url, status] of Object.entries({ '/nowhere': 404, '/refused': 400, '/away': 503 })) {
    const { statusCode, headers } = await ask(app, ORIGIN, url);
    t.equal(statusCode, status);
    t.equal(headers['access-control-allow-origin'], ORIGIN, url);
    const exposed = String(headers['access-control-expose-headers']).split(', ');
    for (const name of ['x-request-id', ...(status === 503 ? ['retry-after'] : [])])
      t.ok(headers[name] && exposed.includes(name), name);
  }
});

test('A CORS_ORIGIN that is not a list of origins keeps the app from starting', async (t) => {
  const wrong = [
    '*, https://example.com',
    'example.com',
    'https://example.com/',
    'https://*.example.com',
    'https://example.com?x',
    'https://example.com#x',
    'https://example.com\\x',
    'ftp://a.example',
    'https://example.com:99999',
  ];
  for (const CORS_ORIGIN of wrong) {
    await t.rejects(buildTestApp(t, { CORS_ORIGIN }), { message: /CORS_ORIGIN/ }, CORS_ORIGIN);
  }
});

test('A request that a hook has refused does not reach its handler', async (t) => {
  const { app, lines } = await buildAppWithRoutes(
    t,
    `export default async (app) => {
      const onRequest = async (request, reply) => { reply.code(401).send({}); };
      app.get('/refused', { onRequest, onSend: async () => {} }, async ({ log }) => {
        log.info('handled');
        return {};
      });
    };`,
    { CORS_ORIGIN: 'https://a.example' },
  );
  t.equal((await app.inject('/refused')).statusCode, 401);
  t.notOk(lines.some(({ msg }) => msg === 'handled'));
});
