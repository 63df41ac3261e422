import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
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
    app.get('/large', () => Buffer.alloc(64 * 1024 * 1024));
    app.get('/socket', { websocket: true }, () => undefined);
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

for (const [name, last] of Object.entries({ CONNECT, UPGRADE, UPGRADE_WITH_BODY })) {
  test(`${name} behind open answers closes the connection and ends them all`, async (t) => {
    const { app, lines, listener, port } = await listen(t);
    const socket = await send(t, port, get('/late') + get('/').repeat(100) + last);
    await once(socket.resume(), 'close');
    await poll(() => app.openRequests.list().length === 0);
    t.equal(lines.filter(({ path }) => path === '/').length, 100, 'all are logged');
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
