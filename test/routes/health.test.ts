import { test } from 'tap';
import { buildTestApp, captureLog, DOWN } from '../helper.ts';

/** Only the health routes, with the plugins that they need. */
const withoutServices = {
  plugins: [new URL('../fixture/plugins/', import.meta.url)],
  only: '/health/',
};

test('GET /health/live answers 200, whether services are up or down', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  const answer = await app.inject({ url: '/health/live', headers: { host: 'anything.example:1' } });
  t.equal(answer.statusCode, 200);
  t.strictSame(answer.json(), { status: 'live' });
  t.equal(answer.headers['cache-control'], 'no-store');
});

test('GET /health/ready answers 503 while a required service is down', async (t) => {
  const app = await buildTestApp(t, {}, withoutServices);
  const check = async () => Promise.reject(new Error('connect ECONNREFUSED 10.1.2.3:5432'));
  app.readiness.attach({ name: 'search', required: true, check });
  const answer = await app.inject('/health/ready');
  t.equal(answer.statusCode, 503);
  t.strictSame(answer.json(), { status: 'unavailable', services: { search: { status: 'down' } } });
  t.equal(answer.headers['cache-control'], 'no-store');
});

test('GET /health/ready answers 200 when all services are up', async (t) => {
  const app = await buildTestApp(t, {}, withoutServices);
  app.readiness.attach({ name: 'cache', required: true, check: async () => 'PONG' });
  const answer = await app.inject('/health/ready');
  t.equal(answer.statusCode, 200);
  t.strictSame(answer.json(), { status: 'ready', services: { cache: { status: 'up' } } });
});

test('GET /health/ready answers 200 and degraded while an optional service is down', async (t) => {
  const app = await buildTestApp(t, {}, withoutServices);
  app.readiness.attach({
    name: 'cache',
    required: false,
    check: async () => Promise.reject(new Error('away')),
  });
  const answer = await app.inject('/health/ready');
  t.equal(answer.statusCode, 200);
  t.strictSame(answer.json(), { status: 'degraded', services: { cache: { status: 'down' } } });
});

test('GET /health/ready answers 503 while the process drains', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  app.readiness.draining = true;
  const answer = await app.inject('/health/ready');
  t.equal(answer.statusCode, 503);
  t.match(answer.json(), { status: 'draining' });
});

test('contract 20: Health routes answer any host, unlimited and unlogged', async (t) => {
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, RATE_LIMIT_MAX: '1' }, { logger });
  // 503 with a database, which is down here; 200 if plugins/database was removed.
  const ready = await app.inject('/health/ready');
  for (const host of ['10.0.0.1', 'router.internal:1', '203.0.113.7:5000']) {
    t.equal((await app.inject({ url: '/health/live', headers: { host } })).statusCode, 200, host);
    t.equal(
      (await app.inject({ url: '/health/ready', headers: { host } })).statusCode,
      ready.statusCode,
      host,
    );
  }
  await app.inject('/nowhere');
  t.match(
    lines.filter(({ path }) => path),
    [{ path: '/nowhere' }],
  );
  t.equal(lines.filter(({ path }) => path).length, 1);
});
