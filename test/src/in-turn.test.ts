import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'tap';
import { buildAppWithRoutes, poll } from '../helper.ts';

const ROUTES = `
  import { setTimeout as sleep } from 'node:timers/promises';
  export default async (app) => {
    let open = 0;
    const most = { open: 0 };
    const count = async (work) => {
      most.open = Math.max(most.open, ++open);
      await work();
      open -= 1;
    };
    app.get('/slow', async () => {
      await count(() => sleep(5));
      return { rows: Array.from({ length: 1_000 }, (_, row) => ({ row })) };
    });
    app.get('/big', async () => 'x'.repeat(4_000_000));
    app.get('/late', () => count(() => new Promise(() => {})));
    app.get('/most', async () => most);
  };`;

test('The requests of one connection are handled in turn', async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTES, { RATE_LIMIT_MAX: '0' });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  const slow = 'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n';
  socket.write(`${slow.repeat(50)}GET /most HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
  const answers = await text(socket);
  t.equal(answers.match(/HTTP\/1\.1 200/g)?.length, 51);
  t.match(answers, /\{"open":1\}$/);
});

test('If the client goes, its other requests are not handled', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, { RATE_LIMIT_MAX: '0' });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  socket.pause();
  socket.write('GET /big HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1_000));
  await poll(() => app.openRequests.list().length > 500);
  const open = app.openRequests.list().length;
  socket.destroy();
  await poll(() => app.openRequests.list().length === 0);
  await poll(() => lines.filter(({ path }) => path === '/big').length >= open);
  t.match(lines.at(-1), { status: 499 });
});

test('A request that is late while it waits is answered once, and not handled', async (t) => {
  const environment = { RATE_LIMIT_MAX: '0', REQUEST_TIMEOUT_MS: '200' };
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, environment);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  socket.write('GET /late HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3));
  await poll(() => lines.filter(({ status }) => status === 503).length === 3);
  socket.write('GET /most HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  const answers = await text(socket);
  t.equal(answers.match(/HTTP\/1\.1 503/g)?.length, 3);
  t.equal(answers.match(/x-request-id: /g)?.length, 4);
  t.match(answers, /\{"open":1\}$/);
  t.equal(lines.filter(({ path }) => path).length, 4);
});
