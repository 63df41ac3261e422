import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Test, test } from 'tap';
import { openHttpListener } from '../../src/listener.ts';
import { buildAppWithRoutes, poll } from '../helper.ts';

/*
 * At CONNECT and Upgrade, Node hands over the connection and removes its listeners: for errors, and
 * those that end the open answers.
 */

const ROUTES = `
  import websocket from '${import.meta.resolve('../fixture/websocket.ts')}';

  export default async (app) => {
    await app.register(websocket);
    app.get('/late', () => new Promise((resolve) => setTimeout(resolve, 100, 'late')));
    app.get('/waits', async ({ signal, log }) => {
      signal.addEventListener('abort', () => log.info('aborted'));
      log.info('waits');
      await new Promise(() => {});
    });
    app.get('/large', () => Buffer.alloc(64 * 1024 * 1024));
    app.get('/socket', { websocket: true }, () => undefined);
    const preValidation = async () => { throw new Error('failed'); };
    app.get('/failing-socket', { websocket: true, preValidation }, () => undefined);
  };
`;

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

const CONNECT = 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n';

const UPGRADE =
  'GET /socket HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';

const UPGRADE_WITH_BODY = UPGRADE.replace('\r\n\r\n', '\r\nContent-Length: 5\r\n\r\n');

async function listen(t: Test) {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, {
    RATE_LIMIT_MAX: '0',
    SHUTDOWN_DELAY_MS: '0',
  });
  const listener = openHttpListener(app);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, lines, listener, port: Number(new URL(url).port) };
}

async function send(t: Test, port: number, bytes: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  socket.write(bytes);
  return socket;
}

test('A malformed handshake has an answer of ours and its status in the log', async (t) => {
  const { lines, listener, port } = await listen(t);
  const malformed = [
    UPGRADE.replace('AAAA==', 'AAAA'),
    UPGRADE.replace(/Sec-WebSocket-Key: \S+\r\n/, ''),
    UPGRADE.replace(/Version: 13/, 'Version: 99'),
  ];
  for (const bytes of malformed) {
    const answer = await text(await send(t, port, bytes));
    t.match(answer, /^HTTP\/1\.1 400 [\s\S]*x-request-id: [\s\S]*"code":"BAD_HANDSHAKE"/i);
  }
  await poll(() => lines.filter(({ status }) => status === 400).length === malformed.length);
  const upgraded = await send(t, port, UPGRADE);
  t.match(String((await once(upgraded, 'data'))[0]), /^HTTP\/1\.1 101 /);
  upgraded.destroy();
  await listener.close();
});

for (const [name, last] of Object.entries({ CONNECT, UPGRADE, UPGRADE_WITH_BODY })) {
  test(`${name} behind open answers closes the connection and ends them all`, async (t) => {
    const { app, lines, listener, port } = await listen(t);
    const socket = await send(t, port, get('/waits'));
    // An owner's asynchronous hook may run before the handler.
    await poll(() => lines.some(({ msg }) => msg === 'waits'));
    socket.write(get('/').repeat(100) + last);
    await once(socket.resume(), 'close');
    await poll(() => app.openRequests.list().length === 0);
    t.equal(lines.filter(({ path }) => path === '/').length, 100, 'all are logged');
    await poll(() => lines.some(({ msg }) => msg === 'aborted'));
    t.match(
      lines.filter(({ msg }) => msg.startsWith('The client sent CONNECT or Upgrade')),
      [{ level: 40 }],
    );
    await listener.close();
  });

  test(`A reset after ${name} does not crash the app`, async (t) => {
    const { app, listener, port } = await listen(t);
    for (const before of ['', get('/large'), get('/')])
      for (let round = 0; round < 20; round++) {
        const socket = await send(t, port, before + last);
        if (round % 2 === 0) await Promise.race([once(socket, 'data'), once(socket, 'close')]);
        socket.resetAndDestroy();
      }
    await poll(() => app.openRequests.list().length === 0);
    t.equal((await fetch(`http://127.0.0.1:${port}/health/live`)).status, 200);
    await listener.close();
  });
}

/** Handshakes for which the app answers, and its status. */
const REFUSED: [status: number, handshake: string][] = [
  [400, UPGRADE.replace('Host: a', 'Host: a b')],
  [400, UPGRADE.replace('/socket', '/%zz')],
  [417, UPGRADE.replace('Host: a', 'Host: a\r\nExpect: other')],
  [404, UPGRADE.replace('/socket', '/nowhere')],
  [404, UPGRADE_WITH_BODY.replace('/socket', '/nowhere')],
  [500, UPGRADE.replace('/socket', '/failing-socket')],
];

for (const [status, handshake] of REFUSED)
  test(`A handshake refused with ${status} is answered, closed and logged`, async (t) => {
    const { app, lines, listener, port } = await listen(t);
    const answer = await text(await send(t, port, handshake));
    t.match(answer, `HTTP/1.1 ${status} `);
    t.match(answer, /x-request-id/i);
    t.match(answer, `"statusCode":${status}`);
    t.match(
      lines.filter(({ path }) => path),
      [{ status }],
    );
    t.equal(app.openRequests.list().length, 0);
    await listener.close();
  });

test('Only a handshake of a WebSocket is an upgrade', async (t) => {
  const { lines, listener, port } = await listen(t);
  const others = [
    UPGRADE.replace('/socket', '/late').replace('websocket', 'h2c'),
    UPGRADE.replace('GET /socket', 'OPTIONS /late'),
  ];
  for (const other of others) await once(await send(t, port, other), 'data');
  t.match(
    lines.filter(({ path }) => path),
    [{ status: 200 }, { status: 405 }],
  );
  await listener.close();
});

test('Nothing behind an ignored Upgrade is answered, and the connection closes', async (t) => {
  const { lines, listener, port } = await listen(t);
  const upgrade = UPGRADE.replace('/socket', '/late').replace('websocket', 'h2c');
  // Of these packets, Node would drop the first one's second half, and take a body for a request.
  const body = get('/nowhere');
  const socket = await send(t, port, `${upgrade}POST /late HTTP/1.1\r\nHost: a\r\n`);
  socket.write(`Content-Length: ${body.length}\r\n\r\n${body}`);
  const answers = await text(socket);
  t.equal(answers.match(/HTTP\/1\.1/g)?.length, 1);
  t.match(answers, /connection: close/i);
  t.match(
    lines.filter(({ path }) => path),
    [{ path: '/late', status: 200 }],
  );
  await listener.close();
});

test('Without a plugin for WebSockets, a handshake is an ordinary request', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, 'export default async () => undefined;');
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  await once(await send(t, Number(new URL(url).port), UPGRADE), 'data');
  t.match(
    lines.filter(({ path }) => path),
    [{ status: 404 }],
  );
});

test('A plugin sees no listener for upgrades but its own', async (t) => {
  // @fastify/http-proxy answers handshakes of other paths only then.
  const { app, listener } = await listen(t);
  t.equal(app.server.listenerCount('upgrade'), 1);
  await listener.close();
});
