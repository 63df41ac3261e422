import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'tap';
import { rush } from '../fixture/rush.ts';
import { buildTestApp, DOWN, poll } from '../helper.ts';

const routes = [
  new URL('../../routes/', import.meta.url),
  new URL('../fixture/routes/', import.meta.url),
];

/** No rate limit: a slow machine polls often. */
const environment = { DATABASE_URL: DOWN, RATE_LIMIT_MAX: '0' };

test('Requests are refused only while the event loop is late', async (t) => {
  const app = await buildTestApp(t, environment, { routes });
  t.equal((await rush(app)).statusCode, 404);
  await app.inject({ method: 'POST', url: '/overload' });
  let refused = await rush(app);
  await poll(async () => {
    refused = await rush(app);
    return refused.statusCode === 503;
  });
  t.match(refused.headers['retry-after'], /^\d+$/);
  t.match(refused.json(), {
    statusCode: 503,
    code: 'SERVICE_UNAVAILABLE',
    message: 'Service Unavailable',
  });
  t.match((await app.inject('/health/live')).json(), { status: 'live' });
  const ready = await app.inject('/health/ready');
  t.match(ready.json(), { status: String, services: Object }, 'an answer of its own');
  await app.inject({ method: 'DELETE', url: '/overload' });
  await poll(async () => (await rush(app)).statusCode === 404);
});

test('Too many health checks do not make other requests answer 503', async (t) => {
  const app = await buildTestApp(t, environment, { routes });
  await app.inject({ method: 'POST', url: '/overload' });
  // The event loop is late for 300 ms in each round, which is more than a sample.
  for (let round = 0; round < 12; round++) {
    await rush(app, '/health/live');
    await sleep(20);
  }
  t.equal((await app.inject('/nowhere')).statusCode, 404);
});
