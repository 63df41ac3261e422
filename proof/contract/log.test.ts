import { request as ask } from 'node:http';
import { test } from 'tap';
import { DOWN, poll, startProcess } from '../../test/helper.ts';

/** The fields of a request's log line. */
const FIELDS = [
  'address',
  'durationMs',
  'level',
  'method',
  'msg',
  'name',
  'path',
  'pid',
  'requestId',
  'status',
  'time',
];

/** A secret that no log may contain, wherever the client puts it. */
const SECRET = 'hunter2';

const headers = {
  authorization: `Bearer ${SECRET}`,
  cookie: `session=${SECRET}`,
  'user-agent': SECRET,
  'content-type': 'application/json',
};

test('contract 23: Each request is one JSON line, without its body and query', async (t) => {
  const { url, lines, noise, signal, exited } = await startProcess(t, {
    entry: 'fixture',
    environment: { DATABASE_URL: DOWN, SHUTDOWN_DELAY_MS: '0' },
  });
  const requests: [string, string, number, string?][] = [
    ['POST', '/echo', 200, JSON.stringify({ text: 'short' })],
    ['POST', '/echo', 400, JSON.stringify({ text: SECRET })],
    ['POST', '/echo', 400, `{"text":"${SECRET}`],
    ['GET', '/nowhere', 404],
    ['PUT', '/echo', 405, JSON.stringify({ text: SECRET })],
  ];
  for (const [method, path, status, body = null] of requests) {
    const answer = await fetch(`${url}${path}?token=${SECRET}`, { method, headers, body });
    t.equal(answer.status, status);
    const requestId = answer.headers.get('x-request-id');
    const find = () => lines.filter((line) => line.requestId === requestId);
    await poll(() => find().length > 0);
    t.equal(find().length, 1);
    t.strictSame(Object.keys(find()[0] ?? {}).sort(), FIELDS, `${method} ${path} ${status}`);
    t.match(find(), [
      { level: 30, method, path, status, durationMs: Number, address: '127.0.0.1', msg: 'request' },
    ]);
  }
  signal('SIGTERM');
  t.equal(await exited, 0);
  t.notMatch(JSON.stringify(lines), SECRET);
  t.strictSame(noise, []);
});

test('contract 17: A handler over REQUEST_TIMEOUT_MS answers 503 and is logged', async (t) => {
  const environment = { DATABASE_URL: DOWN, REQUEST_TIMEOUT_MS: '200' };
  const { url, waitForLine } = await startProcess(t, { entry: 'fixture', environment });
  const answer = await fetch(`${url}/fixture/hung`);
  t.equal(answer.status, 503);
  t.match(answer.headers.get('retry-after'), /^\d+$/);
  t.match(await answer.json(), {
    statusCode: 503,
    code: 'SERVICE_UNAVAILABLE',
    message: 'Service Unavailable',
  });
  t.match(await waitForLine('request failed'), {
    level: 50,
    status: 503,
    err: { code: 'FST_ERR_HANDLER_TIMEOUT' },
  });
});

test('A request whose client disconnects is one log line', async (t) => {
  const environment = { DATABASE_URL: DOWN };
  const { url, lines, waitForLine, write } = await startProcess(t, {
    entry: 'fixture',
    environment,
  });
  const request = ask(`${url}/fixture/held`).on('error', () => undefined);
  request.end();
  await waitForLine('held');
  request.destroy();
  write('go on');
  await fetch(`${url}/nowhere`);
  await poll(() => lines.some(({ path }) => path === '/nowhere'));
  t.match(
    lines.filter(({ path }) => path === '/fixture/held'),
    [{ level: 30, method: 'GET' }],
  );
});

test("An answer that breaks off logs an error line beside its request's line", async (t) => {
  const environment = { DATABASE_URL: DOWN };
  const { url, lines } = await startProcess(t, { entry: 'fixture', environment });
  const answer = await fetch(`${url}/long-lived/broken`);
  await t.rejects(answer.text());
  await t.rejects((await fetch(`${url}/long-lived/torn`)).text());
  const client = new AbortController();
  await fetch(`${url}/long-lived/ignoring`, { signal: client.signal });
  client.abort();
  await poll(() => lines.filter(({ path }) => `${path}`.startsWith('/long-lived/')).length > 2);
  const broken = lines.filter(({ err, requestId }) => err && requestId);
  t.match(broken, [
    { level: 50, msg: 'An answer was interrupted', err: { message: 'the source broke' } },
    { level: 50, err: { message: 'the source broke' } },
    { level: 30, err: { code: 'ERR_STREAM_PREMATURE_CLOSE' } },
  ]);
  const requests = lines.filter(({ status }) => status);
  t.match(requests, [
    { level: 30, status: 200, path: '/long-lived/broken' },
    { level: 30, status: 200, path: '/long-lived/torn' },
    { level: 30, status: 200, path: '/long-lived/ignoring' },
  ]);
  t.strictSame(
    broken.map(({ requestId }) => requestId),
    requests.map(({ requestId }) => requestId),
  );
  t.equal((await fetch(url)).status, 200);
});

test('A WebSocket is one log line when it ends, with status 101', async (t) => {
  const environment = { DATABASE_URL: DOWN };
  const { url, waitForLine } = await startProcess(t, { entry: 'fixture', environment });
  const socket = new WebSocket(`${url.replace('http:', 'ws:')}/long-lived/other-socket`);
  socket.onmessage = () => socket.close();
  const line = await waitForLine('request');
  t.match(line, { level: 30, method: 'GET', path: '/long-lived/other-socket', status: 101 });
});
