import { test } from 'tap';
import { buildTestApp, DOWN, poll, startProcess } from '../helper.ts';

const routes = [
  new URL('../../routes/', import.meta.url),
  new URL('../fixture/routes/', import.meta.url),
];

/** Fewer requests at once are no load, whatever makes the process late. */
const RUSH = 20;

/** A limit for the rate would end the polling of a slow machine. */
const environment = { DATABASE_URL: DOWN, RATE_LIMIT_MAX: '0' };

test('While the event loop is late, requests are refused, and no longer', async (t) => {
  const app = await buildTestApp(t, environment, { routes });
  const ask = async () => {
    const answers = await Promise.all(Array.from({ length: RUSH }, () => app.inject('/nowhere')));
    return answers.at(-1)?.statusCode;
  };
  t.equal(await ask(), 404);
  await app.inject({ method: 'POST', url: '/overload' });
  await poll(async () => (await ask()) === 503);
  t.equal((await app.inject('/health/live')).statusCode, 200);
  await app.inject({ method: 'DELETE', url: '/overload' });
  await poll(async () => (await ask()) === 404);
});

test('A process that is overloaded answers 503 and when to come again, stays alive, and comes back by itself', async (t) => {
  const { url, exited, signal, noise } = await startProcess(t, { entry: 'fixture', environment });
  const ask = async (path: string) => {
    const answer = await fetch(url + path);
    return {
      status: answer.status,
      retryAfter: answer.headers.get('retry-after'),
      body: await answer.json(),
    };
  };
  const rush = async () =>
    (await Promise.all(Array.from({ length: RUSH }, () => ask('/nowhere')))).at(-1);
  await fetch(`${url}/overload`, { method: 'POST' });
  let refused: Awaited<ReturnType<typeof rush>>;
  await poll(async () => {
    refused = await rush();
    return refused?.status === 503;
  });
  t.match(refused, {
    status: 503,
    retryAfter: /^\d+$/,
    body: { statusCode: 503, code: 'SERVICE_UNAVAILABLE', message: 'Service Unavailable' },
  });
  t.match(await ask('/health/live'), { status: 200, body: { status: 'live' } });
  t.match(
    await ask('/health/ready'),
    { body: { status: String, services: Object } },
    'an answer of its own',
  );
  await fetch(`${url}/overload`, { method: 'DELETE' });
  await poll(async () => (await ask('/nowhere')).status === 404);
  signal('SIGTERM');
  t.equal(await exited, 0);
  t.strictSame(noise, []);
});
