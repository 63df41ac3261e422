import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { mock } from 'node:test';
import { type Test, test } from 'tap';
import { lingerAtClose } from '../../src/lingering-close.ts';
import { openHttpListener } from '../../src/listener.ts';
import { OpenRequest } from '../../src/open-request.ts';
import { buildAppWithRoutes } from '../helper.ts';

const ROUTES = `
  import { once } from 'node:events';

  export default async (app) => {
    app.post('/', async () => ({}));
    app.get('/next', async () => ({}));
    app.addContentTypeParser('text/csv', (request, payload, done) => done(null, payload));
    app.post('/stopped', async ({ body }, reply) => {
      await once(body, 'data');
      body.pause();
      return reply.code(422).send({});
    });
  };
`;

const BODY = Buffer.alloc(5_000_000, 'a');
const LENGTH = `Content-Length: ${BODY.length}\r\n\r\n`;
const JSON_LENGTH = `Content-Type: application/json\r\n${LENGTH}`;

/** The starts of requests whose connection closes before they have been read; and the status. */
const REFUSED: Record<string, number> = {
  [`POST / HTTP/1.1\r\nHost: a\r\n${JSON_LENGTH}`]: 413,
  [`POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${JSON_LENGTH}`]: 413,
  [`POST / HTTP/1.0\r\nHost: a\r\n${JSON_LENGTH}`]: 413,
  [`POST / HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n${LENGTH}`]: 415,
  [`POST /stopped HTTP/1.0\r\nHost: a\r\nContent-Type: text/csv\r\n${LENGTH}`]: 422,
  [`DELETE /next HTTP/1.0\r\nHost: a\r\n${LENGTH}`]: 405,
  [`POST / HTTP/1.1\r\n${JSON_LENGTH}`]: 400,
  [`POST / HTTP/1.1\r\nHost: a\r\nno header\r\n${JSON_LENGTH}`]: 400,
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nno length\r\n': 400,
  'GET / HTTP/1.1\r\nHost: a\r\nX-Long: ': 431,
};

async function listen(t: Test) {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, { SHUTDOWN_DELAY_MS: '0' });
  const listener = openHttpListener(app);
  const port = Number(new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port);
  return { lines, listener, open: () => openConnection(t, port) };
}

function openConnection(t: Test, port: number): Socket {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  return socket;
}

/** Sends everything before it reads, as many clients do. */
async function ask(socket: Socket, head: string): Promise<string> {
  socket.write(head);
  await new Promise((resolve) => socket.end(BODY, () => resolve(undefined)));
  return text(socket).catch(String);
}

test('A client that sends its whole body before it reads gets its answer', async (t) => {
  const { open } = await listen(t);
  for (const [head, status] of Object.entries(REFUSED))
    t.match(await ask(open(), head), new RegExp(`^HTTP/1.1 ${status} `), head);
});

test('This also holds while the app stops', async (t) => {
  const { listener, open } = await listen(t);
  listener.announceClose();
  const answer = await ask(open(), `POST /unknown HTTP/1.1\r\nHost: a\r\n${LENGTH}`);
  t.match(answer, /^HTTP\/1\.1 404 .*\r\nconnection: close\r\n/is);
});

test('A request after the last answer of its connection is not handled', async (t) => {
  const { lines, listener, open } = await listen(t);
  const socket = open();
  let answer = '';
  socket.on('data', (data) => {
    answer += data;
  });
  socket.on('error', () => undefined);
  // Without a host, it is refused.
  socket.write('GET / HTTP/1.1\r\n\r\n');
  await once(socket, 'end');
  socket.end('GET /next HTTP/1.1\r\nHost: a\r\n\r\n');
  await listener.close();
  t.match(answer, /^HTTP\/1\.1 400 .*\r\nconnection: close\r\n/is);
  const requests = lines.filter(({ msg }) => msg === 'request');
  t.match(requests, [{ path: '/', status: 400 }]);
  t.equal(requests.length, 1);
});

/** A connection to a server that lingers; no time passes. */
async function accept(t: Test): Promise<{ client: Socket; socket: Socket }> {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const client = openConnection(t, (server.address() as AddressInfo).port).resume();
  const [socket] = await once(server, 'connection');
  lingerAtClose(socket);
  return { client, socket };
}

test('A client that does not close its side is disconnected after 30 s', async (t) => {
  const { client, socket } = await accept(t);
  socket.destroySoon();
  await once(client, 'end');
  mock.timers.tick(29_999);
  t.notOk(socket.destroyed);
  mock.timers.tick(1);
  t.ok(socket.destroyed);
});

test('A connection with further requests is closed at once: they end with it', async (t) => {
  const { socket } = await accept(t);
  new OpenRequest({ socket } as IncomingMessage, 0);
  socket.destroySoon();
  await once(socket, 'close');
  t.ok(socket.destroyed);
});
