import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { type Test, test } from 'tap';
import { buildAppWithRoutes, type Environment, poll } from '../helper.ts';

/** `GET /counts` tells how many handlers have run, and how many at once. */
const ROUTES = `
  import { AsyncLocalStorage } from 'node:async_hooks';
  import { setTimeout as sleep } from 'node:timers/promises';
  export default async (app) => {
    const storage = new AsyncLocalStorage();
    const counts = { ran: 0, open: 0, most: 0 };
    const count = async (work) => {
      counts.ran += 1;
      counts.most = Math.max(counts.most, ++counts.open);
      await work();
      counts.open -= 1;
    };
    app.get('/slow', async () => {
      await count(() => sleep(20));
      return { rows: Array.from({ length: 1_000 }, (_, row) => ({ row })) };
    });
    app.get('/big', async () => {
      await count(() => sleep(1));
      return 'x'.repeat(4_000_000);
    });
    app.get('/last', (_request, reply) => reply.header('connection', 'close').send('last'));
    app.post('/body', async ({ body }) => {
      await count(() => sleep(1));
      return body;
    });
    app.get('/late', () => new Promise(() => {}));
    app.get('/again', (request, reply) => {
      if (request.raw.url === '/again') {
        request.raw.url = '/counts';
        reply.hijack();
        app.routing(request.raw, reply.raw);
      }
    });
    app.get('/context', async () => {
      const context = storage.getStore() ?? 'none';
      storage.enterWith('that of the first');
      await sleep(1);
      return { context };
    });
    app.get('/counts', async () => counts);
  };`;

async function open(t: Test, environment: Environment = {}) {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, {
    RATE_LIMIT_MAX: '0',
    ...environment,
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, lines, socket: connectTo(t, app) };
}

function connectTo(t: Test, app: FastifyInstance) {
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  return socket.on('error', () => undefined);
}

const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;

const LAST = get('/counts', 'Connection: close\r\n');

const post = (headers: string, body: string) =>
  `POST /body HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${headers}\r\n\r\n${body}`;

async function readCounts(app: FastifyInstance) {
  return (await app.inject('/counts')).json();
}

test('The requests of one connection are handled in turn', async (t) => {
  const { socket } = await open(t);
  socket.write(get('/slow').repeat(50) + post('Content-Length: 7', '{"a":1}') + LAST);
  const answers = await text(socket);
  t.equal(answers.match(/HTTP\/1\.1 200/g)?.length, 52);
  t.match(answers, /\{"a":1\}/);
  t.match(answers, /\{"ran":51,"open":0,"most":1\}$/);
});

test('Each request runs in a context of its own', async (t) => {
  const { socket } = await open(t);
  socket.write(get('/context').repeat(2) + LAST);
  t.equal((await text(socket)).match(/\{"context":"none"\}/g)?.length, 2);
});

test('A request may be counted for longer than the earlier ones take', async (t) => {
  const { app, socket } = await open(t);
  let requests = 0;
  const countRequest = () => (++requests > 1 ? sleep(200) : undefined);
  Object.assign(app, { countRequest });
  socket.write(get('/counts') + LAST);
  t.equal((await text(socket)).match(/HTTP\/1\.1 200/g)?.length, 2);
});

test('If the client goes, its other requests are not handled', async (t) => {
  const { app, lines, socket } = await open(t);
  socket.pause();
  socket.write(get('/big').repeat(1_000));
  await poll(() => app.openRequests.list().length > 500);
  const requests = app.openRequests.list().length;
  socket.destroy();
  await poll(() => app.openRequests.list().length === 0);
  await poll(() => lines.filter(({ path }) => path === '/big').length >= requests);
  t.match(lines.at(-1), { status: 499 });
  t.ok((await readCounts(app)).ran < 10);
});

test('Behind the last answer of a connection, no request is handled', async (t) => {
  const { app, socket } = await open(t);
  socket.write(get('/last') + get('/slow').repeat(3));
  t.match(await text(socket), /last$/);
  await poll(() => app.openRequests.list().length === 0);
  t.equal((await readCounts(app)).ran, 0);
});

test('The time-out of a request counts from its turn', async (t) => {
  const { socket, lines } = await open(t, { REQUEST_TIMEOUT_MS: '400' });
  socket.write(get('/slow').repeat(40) + get('/late').repeat(2) + LAST);
  const answers = await text(socket);
  t.equal(answers.match(/HTTP\/1\.1 200/g)?.length, 41);
  t.equal(answers.match(/HTTP\/1\.1 503/g)?.length, 2);
  t.equal(lines.filter(({ status }) => status === 503).length, 2);
});

test('A request whose body is not valid while it waits is not handled', async (t) => {
  const { app, socket } = await open(t);
  socket.write(get('/slow') + post('Transfer-Encoding: chunked', 'nonsense'));
  t.equal((await text(socket)).match(/HTTP\/1\.1/g)?.length, 1, 'only the earlier answer is sent');
  await poll(() => app.openRequests.list().length === 0);
  t.equal((await readCounts(app)).ran, 1);
});

test('Bodies of waiting requests are limited', async (t) => {
  const { app, socket, lines } = await open(t);
  socket.write(get('/late'));
  const body = JSON.stringify('x'.repeat(60_000));
  socket.write(post(`Content-Length: ${body.length}`, body).repeat(3_000));
  await poll(() => lines.some(({ msg }) => msg.includes('it is cut off')));
  await poll(() => app.openRequests.list().length === 0);
  t.equal((await readCounts(app)).ran, 0);
});

test('A handler may pass its request to the router again', async (t) => {
  const { app, socket } = await open(t);
  const first = connectTo(t, app);
  first.write(get('/again', 'Connection: close\r\n'));
  t.match(await text(first), /"most":0\}$/);
  socket.write(get('/counts') + get('/again').repeat(2) + get('/slow') + LAST);
  t.equal((await text(socket)).match(/HTTP\/1\.1 200/g)?.length, 5);
  await poll(() => app.openRequests.list().length === 0);
  const next = connectTo(t, app);
  next.write(get('/again'));
  await once(next, 'data');
  next.write(get('/again', 'Connection: close\r\n'));
  t.match(await text(next), /"most":1\}$/, 'the connection is kept');
});

test('An idle connection keeps no answer', async (t) => {
  const { app, socket } = await open(t);
  const [server] = await new Promise<unknown[]>((resolve) => {
    app.server.once('connection', (...connection) => resolve(connection));
  });
  socket.write(get('/counts'));
  await poll(() => app.openRequests.list().length === 0 && socket.bytesRead > 0);
  await new Promise(setImmediate);
  const symbol = Object.getOwnPropertySymbols(server).find(
    ({ description }) => description === 'last request',
  );
  t.equal(Reflect.get(server as object, symbol as symbol), undefined);
});
