import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type Test, test } from 'tap';
import { buildAppWithRoutes, endAfter, poll } from '../helper.ts';

const ROUTES = `
  export default async (app) => {
    app.get('/ready', async () => ({ status: app.redis.status }));
    app.get('/text', (_request, reply) => { reply.code(404); throw 'text'; });
    app.get('/multi/:key', ({ params }) => app.redis.multi().get(params.key).exec());
    app.get('/get/:key', ({ params }) => app.redis.get(params.key));
  };
`;

const UNAVAILABLE = { statusCode: 503, code: 'SERVICE_UNAVAILABLE' };

/** A minimal Redis: GET answers with its key as an error, or never. A transaction is discarded. */
async function listen(t: Test): Promise<number> {
  const server = createServer((socket) => {
    endAfter(t, () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      for (const command of String(data).split(/^(?=\*\d+\r$)/m)) {
        const [, key] = /^get\r\n\$\d+\r\n(\w+)/m.exec(command) ?? [];
        const code = /^exec\r$/m.test(command) ? 'EXECABORT' : key;
        if (code !== 'NEVER') socket.write(code ? `-${code} this is why\r\n` : '+OK\r\n');
      }
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  endAfter(t, () => server.close());
  return (server.address() as AddressInfo).port;
}

test('A route that needs Redis answers 503 while there is no connection', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, { REDIS_URL: 'redis://127.0.0.1:1' });
  const answer = await app.inject('/get/OOM');
  t.match(answer.json(), UNAVAILABLE);
  t.ok(answer.headers['retry-after']);
  t.match(lines.at(-1), { status: 503, err: { message: /writeable/ } });
  t.equal((await app.inject('/text')).statusCode, 404, 'what is thrown need not be an error');
});

test('A route answers 503 if Redis cannot serve, and 500 for a mistake of the app', async (t) => {
  const REDIS_URL = `redis://127.0.0.1:${await listen(t)}`;
  const { app } = await buildAppWithRoutes(t, ROUTES, { REDIS_URL });
  const get = async (url: string) => (await app.inject(url)).json();
  const connected = () => poll(async () => (await get('/ready')).status === 'ready');
  await connected();
  for (const code of ['OOM', 'LOADING', 'MISCONF', 'NOAUTH'])
    t.match(await get(`/get/${code}`), UNAVAILABLE, code);
  for (const code of ['ERR', 'WRONGTYPE', 'NOPERM', 'BUSYKEY'])
    t.match(await get(`/get/${code}`), { statusCode: 500, code: 'INTERNAL_SERVER_ERROR' }, code);
  t.match(await get('/multi/OOM'), UNAVAILABLE);
  t.match(await get('/multi/WRONGTYPE'), { statusCode: 500 });
  // Behind these, the app connects again.
  for (const key of ['READONLY', 'NEVER']) {
    t.match(await get(`/get/${key}`), UNAVAILABLE, key);
    await connected();
  }
});
