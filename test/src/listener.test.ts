import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import net, { type AddressInfo, connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import { openHttpListener } from '../../src/listener.ts';
import { buildAppWithRoutes, buildTestApp, DOWN, poll } from '../helper.ts';

/** More bytes than the kernel takes for a client that does not read. */
const LARGE = 30_000_000;

const ENVIRONMENT = { DATABASE_URL: DOWN, SHUTDOWN_DELAY_MS: '0' };

/** Sends bytes to one of the two addresses of `localhost`. */
async function exchange(app: FastifyInstance, host: string, bytes: string): Promise<string> {
  const socket = connect((app.server.address() as AddressInfo).port, host);
  socket.write(bytes);
  return await text(socket);
}

test('Both addresses of localhost give the same answers', async (t) => {
  const app = await buildTestApp(t, ENVIRONMENT);
  const listener = openHttpListener(app);
  t.equal(await listener.listen({ host: 'localhost', port: 0 }), undefined);
  for (const [bytes, status] of [
    ['GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 200],
    ['GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\nConnection: close\r\n\r\n', 417],
    ['CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['nonsense\r\n\r\n', 400],
  ] as const)
    for (const host of ['127.0.0.1', '::1']) {
      const answer = await exchange(app, host, bytes);
      t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), `${host} ${bytes}`);
      t.match(answer.toLowerCase(), /\r\nx-request-id: /, `${host} ${bytes}`);
    }
  await listener.close();
});

test('A request in flight is answered at both addresses before the listener closes', async (t) => {
  const app = await buildTestApp(t, ENVIRONMENT);
  const listener = openHttpListener(app);
  await listener.listen({ host: 'localhost', port: 0 });
  const body =
    'POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n';
  const answers = ['127.0.0.1', '::1'].map(async (host) => {
    const socket = connect((app.server.address() as AddressInfo).port, host);
    socket.write(body);
    await once(socket, 'connect');
    setTimeout(() => socket.write('{}'), 300);
    return await text(socket);
  });
  await sleep(100);
  await listener.close();
  for (const answer of await Promise.all(answers)) t.match(answer, /^HTTP\/1\.1 404 /);
});

test('app.stopping is aborted when the port closes, before idle connections end', async (t) => {
  const app = await buildTestApp(t, { ...ENVIRONMENT, SHUTDOWN_DELAY_MS: '1' });
  const listener = openHttpListener(app);
  await listener.listen({ host: '127.0.0.1', port: 0 });
  const idle = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  await once(app.server, 'connection');
  const closed = listener.close();
  await poll(() => !app.server.listening);
  t.match([app.stopping.aborted, idle.closed], [true, false]);
  await closed;
});

test('Idle connections end in the time that SHUTDOWN_TIMEOUT_MS leaves', async (t) => {
  const shutdown = { SHUTDOWN_DELAY_MS: '1000', SHUTDOWN_TIMEOUT_MS: '1010' };
  const app = await buildTestApp(t, { ...ENVIRONMENT, ...shutdown });
  const listener = openHttpListener(app);
  await listener.listen({ host: '127.0.0.1', port: 0 });
  const idle = connect((app.server.address() as AddressInfo).port, '127.0.0.1').resume();
  await once(app.server, 'connection');
  const closed = listener.close();
  t.ok(await Promise.race([once(idle, 'close'), sleep(900)]));
  await closed;
});

test('Connections that come while the port closes are answered', async (t) => {
  const app = await buildTestApp(t, ENVIRONMENT);
  const listener = openHttpListener(app);
  await listener.listen({ host: '127.0.0.1', port: 0 });
  const bytes = 'GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  const answers: Promise<string>[] = [];
  const ask = () => answers.push(exchange(app, '127.0.0.1', bytes));
  // The next one waits as soon as the one before is accepted.
  app.server.on('connection', () => answers.length < 5 && ask());
  ask();
  await listener.close();
  for (const answer of await Promise.all(answers)) t.match(answer, /^HTTP\/1\.1 200 /);
  t.equal(answers.length, 5);
});

test('Closing waits for a slow handler', async (t) => {
  const { app } = await buildAppWithRoutes(
    t,
    `export default async (app) => app.get('/slow', async () => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      return { slow: true };
    });`,
    ENVIRONMENT,
  );
  const listener = openHttpListener(app);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const asked = fetch(`${url}/slow`, { headers: { connection: 'close' } });
  await poll(() => listener.openRequests().length > 0);
  await listener.close();
  t.equal((await asked).status, 200);
});

test('Closing waits for a client that still reads an answer', async (t) => {
  const { app } = await buildAppWithRoutes(
    t,
    `export default async (app) => app.get('/large', (request, reply) => {
      reply.hijack();
      // With an encoding, Node gets the whole text at once.
      reply.raw.end('a'.repeat(${LARGE}), 'latin1');
    });`,
    ENVIRONMENT,
  );
  const listener = openHttpListener(app);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const [answer] = (await once(get(`${url}/large`), 'response')) as [IncomingMessage];
  const closed = listener.close();
  await once(app.stopping, 'abort');
  t.equal((await text(answer)).length, LARGE);
  await closed;
});

test('The port is taken if another process has one of the addresses', async (t) => {
  const other = createServer().listen(0, '::1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  const listener = openHttpListener(await buildTestApp(t, ENVIRONMENT));
  const { port } = other.address() as AddressInfo;
  await t.rejects(listener.listen({ host: 'localhost', port }), { code: 'EADDRINUSE' });
  await listener.close();
});

test('Without IPv6, localhost is one address', async (t) => {
  const app = await buildTestApp(t, ENVIRONMENT);
  const listener = openHttpListener(app);
  t.intercept(net, 'createServer', {
    value: () => {
      const server = new net.Server();
      server.listen = () => {
        setImmediate(() =>
          server.emit('error', Object.assign(new Error(), { code: 'EAFNOSUPPORT' })),
        );
        return server;
      };
      return server;
    },
  });
  await listener.listen({ host: 'localhost', port: 0 });
  t.match(await exchange(app, '127.0.0.1', 'nonsense\r\n\r\n'), /^HTTP\/1\.1 400 /);
  await listener.close();
});
