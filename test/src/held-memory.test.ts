import { type AddressInfo, connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'tap';
import { cutOffSlowestReaders, cutOffSlowestSenders, observe } from '../../src/held-memory.ts';
import type { OpenRequest } from '../../src/open-request.ts';
import { buildAppWithRoutes, poll } from '../helper.ts';

const MIB = 1024 * 1024;

const ITEMS = "export default async (app) => app.post('/items', async ({ body }) => body.length);";

const BODY = JSON.stringify('a'.repeat(1_000_000));
const HEAD = `POST /items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;

/** Together, their incomplete bodies exceed the limit. */
const CLIENTS = 150;

/** A request with `waiting` unread bytes, whose client last read `idleMs` ago. */
function createEntry(waiting: number, idleMs: number) {
  const socket = {
    bytesWritten: waiting,
    writableLength: waiting,
    destroyed: false,
    destroy: () => {
      socket.destroyed = true;
    },
  };
  const progressAt = performance.now() - idleMs;
  const entry = { socket, waiting, size: 0, sent: 0, sentBefore: 0, progressAt };
  return entry as unknown as OpenRequest;
}

test('Only as many clients as needed are disconnected, those idle for longest first', (t) => {
  const entries = [createEntry(20 * MIB, 10), createEntry(20 * MIB, 30), createEntry(20 * MIB, 20)];
  cutOffSlowestReaders(entries);
  t.strictSame(
    entries.map((entry) => entry.socket.destroyed),
    [false, true, false],
  );
  entries.forEach(observe);
  t.strictSame(
    entries.map(({ waiting }) => waiting),
    [20 * MIB, 0, 20 * MIB],
  );
  t.end();
});

test('Small answers count as much as their requests take', (t) => {
  const few = Array.from({ length: 5_000 }, () => createEntry(100, 10));
  cutOffSlowestReaders(few);
  t.notOk(few.some(({ socket }) => socket.destroyed));
  const many = Array.from({ length: 8_000 }, () => createEntry(100, 10));
  cutOffSlowestReaders(many);
  const left = many.filter(({ socket }) => !socket.destroyed);
  t.equal(left.length, (40 * MIB) / (8 * 1024));
  t.end();
});

test('Requests that wait for their turn count, although they have no answer yet', (t) => {
  const waiting = Array.from({ length: 8_000 }, () =>
    Object.assign(createEntry(0, 10), { turnAt: Number.POSITIVE_INFINITY }),
  );
  const open = Array.from({ length: 8_000 }, () => createEntry(0, 10));
  cutOffSlowestReaders([...waiting, ...open]);
  t.equal(waiting.filter(({ socket }) => !socket.destroyed).length, (40 * MIB) / (8 * 1024));
  t.notOk(
    open.some(({ socket }) => socket.destroyed),
    'a handler may take its time',
  );
  t.end();
});

test('A client that sends many requests at once is cut off before one that reads slowly', (t) => {
  const reader = createEntry(MIB, 500);
  const pipelines = Array.from({ length: 1_000 }, () => {
    const { socket } = createEntry(0, 0);
    const queued = { socket, turnAt: Number.POSITIVE_INFINITY };
    return Array.from({ length: 6 }, () => Object.assign(createEntry(0, 0), queued));
  });
  cutOffSlowestReaders([reader, ...pipelines.flat()]);
  t.notOk(reader.socket.destroyed);
  const left = pipelines.filter(([first]) => !first!.socket.destroyed);
  t.equal(left.length, Math.floor((39 * MIB) / (6 * 8 * 1024)));
  t.end();
});

test('A body counts at least as much as its request takes', (t) => {
  const entries = Array.from({ length: 13_000 }, () => {
    const socket = { bytesRead: 1, destroyed: false, destroy: () => undefined };
    socket.destroy = () => void Object.assign(socket, { destroyed: true });
    const request = { complete: false, headers: { 'content-length': '2' } };
    return { request, socket, receivedBefore: 0, receivedAt: 0 } as unknown as OpenRequest;
  });
  cutOffSlowestSenders(entries);
  t.equal(entries.filter(({ socket }) => !socket.destroyed).length, (96 * MIB) / (8 * 1024));
  t.end();
});

test('A client may have more unread answers than a function can have arguments', (t) => {
  const entries = Array.from({ length: 200_000 }, () => createEntry(MIB, 10));
  const { socket } = entries[0]!;
  for (const entry of entries) Object.assign(entry, { socket });
  cutOffSlowestReaders(entries);
  t.ok(socket.destroyed);
  t.end();
});

test('While few bytes are held, a large answer does not scan all open requests', async (t) => {
  const route = "export default async (app) => app.get('/large', async () => 'a'.repeat(100_000));";
  const { app } = await buildAppWithRoutes(t, route, { RATE_LIMIT_MAX: '0' });
  const { openRequests } = app;
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const list = t.capture(openRequests, 'list', openRequests.list);
  for (let count = 0; count < 50; count += 1) {
    const answer = await fetch(`${url}/large`);
    t.equal((await answer.text()).length, 100_000);
  }
  t.ok(list().length < 50, 'only the deadlines list them, once a second');
});

test('Too many half-sent bodies disconnect the clients that stopped', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ITEMS);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const open = (begin: string): Socket => {
    const socket = connect(port, '127.0.0.1')
      .on('error', () => undefined)
      .resume();
    socket.write(`${HEAD}Content-Length: ${BODY.length}\r\nConnection: close\r\n\r\n${begin}`);
    t.teardown(() => socket.destroy());
    return socket;
  };
  const stopped = Array.from({ length: CLIENTS }, () => open(BODY.slice(0, -1)));
  const steady = open(BODY.slice(0, -20));
  let answer = '';
  steady.on('data', (data) => {
    answer += data;
  });
  const isCut = ({ msg }: { msg: string }) => msg.includes('the rest of its body');
  let sent = -20;
  await poll(async () => {
    if (sent < -1) steady.write(BODY.at(sent++)!);
    await sleep(100);
    return sent === -1 && lines.some(isCut);
  });
  steady.write(BODY.at(-1)!);
  await poll(() => steady.closed);
  t.match(answer, 'HTTP/1.1 200 OK');
  const countCut = () => lines.filter(isCut).length;
  await poll(() => stopped.filter((socket) => socket.closed).length === countCut());
  t.ok(countCut() > 0 && countCut() < 100, `${countCut()} are disconnected`);
});

test('A body that a handler reads as a stream does not count', async (t) => {
  const { app, lines } = await buildAppWithRoutes(
    t,
    `export default async (app) => {
      app.addContentTypeParser('application/octet-stream', (request, body, done) => done(null, body));
      app.post('/files', { bodyLimit: ${100 * MIB} }, async ({ body }) => {
        let size = 0;
        for await (const chunk of body) size += chunk.length;
        return size;
      });
    };`,
  );
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const head = 'POST /files HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n';
  const uploads = Array.from({ length: 3 }, () => {
    const socket = connect(port, '127.0.0.1');
    socket.write(`${head}Connection: close\r\nContent-Length: ${40 * MIB}\r\n\r\n`);
    socket.write(Buffer.alloc(40 * MIB - 1));
    return { socket, answer: text(socket) };
  });
  const hasRead = ({ socket }: OpenRequest) => socket.bytesRead > 40 * MIB;
  await poll(() => app.openRequests.list().filter(hasRead).length === uploads.length);
  await sleep(1_500);
  for (const { socket, answer } of uploads) {
    socket.write('a');
    t.match(await answer, `${40 * MIB}`);
  }
  t.notOk(lines.some(({ msg }) => msg.includes('cut off')));
});

test('A body counts without the earlier requests of its connection', (t) => {
  const createSender = (receivedBefore: number) => {
    const socket = { bytesRead: 200 * MIB, destroyed: false, destroy: () => undefined };
    const destroy = t.capture(socket, 'destroy');
    const request = { complete: false, headers: {} };
    const reply = { request: { routeOptions: { bodyLimit: 100 * MIB } }, log: { warn() {} } };
    const entry = { request, socket, reply, receivedBefore, receivedAt: 0 };
    return { entry: entry as unknown as OpenRequest, destroy };
  };
  const [late, fresh] = [createSender(200 * MIB - 1), createSender(0)];
  cutOffSlowestSenders([late.entry, fresh.entry]);
  t.equal(late.destroy().length, 0);
  t.equal(fresh.destroy().length, 1);
  t.end();
});

test('An upgraded connection is never disconnected because of its body', (t) => {
  const socket = { bytesRead: 1_000_000_000, destroyed: false };
  const request = { complete: false, headers: {} };
  cutOffSlowestSenders([{ request, socket, reply: undefined } as unknown as OpenRequest]);
  t.strictSame(socket, { bytesRead: 1_000_000_000, destroyed: false });
  t.end();
});
