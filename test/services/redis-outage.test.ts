import { Redis } from 'ioredis';
import { type Test, test } from 'tap';
import { buildAppWithRoutes, poll } from '../helper.ts';
import { startRedis } from './redis-server.ts';

const ROUTES = `
  export default async (app) => {
    app.put('/:key', async ({ params }) => {
      await app.redis.set(params.key, 'x'.repeat(1_000));
      return { is: 'set' };
    });
    app.patch('/:key', async ({ params }) => {
      await app.redis.multi().set(params.key, 'x'.repeat(1_000)).exec();
      return { is: 'set' };
    });
    app.post('/:key', async ({ params }) => ({ length: await app.redis.llen(params.key) }));
  };
`;

async function startApp(t: Test) {
  const redis = await startRedis(t);
  const { app } = await buildAppWithRoutes(t, ROUTES, { REDIS_URL: redis.url });
  const ask = async (method: 'PUT' | 'PATCH' | 'POST') =>
    (await app.inject({ method, url: '/key' })).statusCode;
  await poll(async () => (await ask('PUT')) === 200);
  return { redis, ask };
}

test('While Redis is full or read-only, a write answers 503', async (t) => {
  const { redis, ask } = await startApp(t);
  const client = new Redis(redis.url);
  t.teardown(() => client.disconnect());
  t.equal(await ask('POST'), 500, 'a text is no list');
  await client.config('SET', 'maxmemory', '1');
  t.equal(await ask('PUT'), 503);
  t.equal(await ask('PATCH'), 503);
  await client.config('SET', 'maxmemory', '0');
  t.equal(await ask('PUT'), 200);
  await client.replicaof('127.0.0.1', 1);
  t.equal(await ask('PUT'), 503);
  await client.replicaof('NO', 'ONE');
  await poll(async () => (await ask('PUT')) === 200);
});

test('While Redis hangs or is killed, a write answers 503', async (t) => {
  const { redis, ask } = await startApp(t);
  await redis.pause();
  t.equal(await ask('PUT'), 503);
  await redis.resume();
  await poll(async () => (await ask('PUT')) === 200);
  await redis.kill();
  t.equal(await ask('PUT'), 503);
  await redis.start();
  await poll(async () => (await ask('PUT')) === 200);
});
