import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { type Test, test } from 'tap';
import { Type } from 'typebox';
import { buildAppWithRoutes, findFreePort, type LogLine, poll } from '../helper.ts';

/** A route that asks the attached app, and the route that it asks. */
const ROUTES = `
  const things = { type: 'array', items: { type: 'string' } };
  const schema = { type: 'object', required: ['things'], properties: { things } };
  export default async (app) => {
    app.get('/asks', async (request) => app.backingApp.get('/things?page=2', schema, request));
    app.get('/things', async (request) => app.backingApp.get('/things', schema, request));
    const body = { type: 'object', required: ['title'] };
    app.post('/asks', { schema: { body } }, (request) =>
      app.backingApp.get('/things', schema, request));
    app.get('/asks-often', async (request, reply) => {
      for (let count = 0; count < 20; count++)
        await app.backingApp.get('/things', schema, request);
      return reply.raw.listenerCount('close');
    });
    app.get('/job', () => {
      const { signal } = new AbortController();
      return app.backingApp.get('/things', schema, { signal, id: 'job-1' });
    });
    app.get('/finds', (request) =>
      app.backingApp.get('/things', schema, request).catch(({ cause }) => [cause.status]));
  };
`;

const THINGS = JSON.stringify({ things: ['a'] });

/** Starts a fake attached app. */
async function openOtherApp(t: Test, answer: RequestListener, host = '127.0.0.1') {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await once(server.listen(0, host), 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { host: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, requests };
}

const answerThings: RequestListener = (_request, response) => void response.end(THINGS);

const ask = (app: FastifyInstance, headers = {}) => app.inject({ url: '/asks', headers });

test('Without an attached app, a route that needs one answers 503', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, {});
  const answer = await ask(app);
  t.strictSame(answer.json(), describe(503, 'BACKING_APP_NOT_ATTACHED', 'Service Unavailable'));
  t.match(answer.headers['retry-after'], /^\d+$/);
  t.match(lines, [{ level: 50, status: 503, err: { message: 'BACKING_APP_URL is not set' } }]);
  t.notOk((await app.readiness.report()).services['backing-app']);
});

test("The attached app's answer is returned", async (t) => {
  const { host, requests } = await openOtherApp(t, answerThings);
  const { app } = await buildAppWithRoutes(t, ROUTES, {
    BACKING_APP_URL: `http://${host}`,
    // Four fifths of it are no integer.
    REQUEST_TIMEOUT_MS: '29999',
  });
  const answer = await ask(app, {
    'x-request-id': 'the-id',
    cookie: 'session=1',
    authorization: 'Bearer 1',
  });
  t.equal(answer.statusCode, 200);
  t.strictSame(answer.json(), { things: ['a'] });
  t.match(requests, [
    { method: 'GET', url: '/things?page=2', headers: { 'x-request-id': 'the-id' } },
  ]);
  const { cookie, authorization } = requests[0]?.headers ?? {};
  t.strictSame(
    [cookie, authorization],
    [undefined, undefined],
    "the client's own headers are not passed on",
  );
});

test('A job asks with its signal and id', async (t) => {
  let things = THINGS;
  const { host, requests } = await openOtherApp(
    t,
    (_request, response) => void response.end(things),
  );
  const { app } = await buildAppWithRoutes(t, ROUTES, { BACKING_APP_URL: `http://u:p@${host}` });
  t.strictSame((await app.inject('/job')).json(), { things: ['a'] });
  t.match(requests[0]?.headers, { 'x-request-id': 'job-1', authorization: /^Basic / });
  things = '{"things":[1]}';
  t.equal((await app.inject('/job')).statusCode, 502);
});

test('The path and credentials of BACKING_APP_URL are used, and not logged', async (t) => {
  let status = 200;
  const { host, requests } = await openOtherApp(
    t,
    (_request, response) => void response.writeHead(status).end(THINGS),
  );
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, {
    BACKING_APP_URL: `http://us%40er:p%3Ass@${host}/base/`,
  });
  t.equal((await ask(app)).statusCode, 200);
  status = 500;
  t.equal((await ask(app)).statusCode, 502);
  const basic = Buffer.from('us@er:p:ss').toString('base64');
  for (const { url, headers } of requests) {
    t.equal(url, '/base/things?page=2');
    t.equal(headers.authorization, `Basic ${basic}`);
  }
  await app.readiness.report();
  t.equal(requests.at(-1)?.url, '/base/health/live');
  t.equal(requests.at(-1)?.headers.authorization, `Basic ${basic}`);
  t.notMatch(JSON.stringify(lines), new RegExp(`p%3Ass|p:ss|us@er|${basic}`));
});

test('A user without a password in BACKING_APP_URL is sent', async (t) => {
  const { host, requests } = await openOtherApp(t, answerThings);
  const { app } = await buildAppWithRoutes(t, ROUTES, { BACKING_APP_URL: `http://token@${host}` });
  await ask(app);
  t.equal(requests[0]?.headers.authorization, `Basic ${Buffer.from('token:').toString('base64')}`);
});

test('An attached app can have an IPv6 address', async (t) => {
  const other = await openOtherApp(t, answerThings, '::1').catch(() => undefined);
  const { app } = await buildAppWithRoutes(t, ROUTES, {
    BACKING_APP_URL: `http://${other?.host ?? '[::1]:1'}`,
  });
  t.equal((await ask(app)).statusCode, other ? 200 : 502, '502 on a machine without IPv6');
});

/** Failures of an attached app, and their log message. */
const FAILURES: Record<string, [RequestListener, RegExp]> = {
  'invalid JSON': [(_request, response) => void response.end('<html>'), /not valid JSON/],
  'half of the JSON': [(_request, response) => void response.end(THINGS.slice(0, -2)), /JSON/],
  'an empty answer': [(_request, response) => void response.end(), /JSON/],
  'another shape': [
    (_request, response) => void response.end('{"things":[1]}'),
    /does not match the schema/,
  ],
  'a 500': [(_request, response) => void response.writeHead(500).end(THINGS), /it answered 500/],
  'a 404': [(_request, response) => void response.writeHead(404).end(THINGS), /it answered 404/],
  'a redirect': [
    (_request, response) => void response.writeHead(302, { location: '/' }).end(),
    /it answered 302/,
  ],
  'a 204': [(_request, response) => void response.writeHead(204).end(), /it answered 204/],
  'a body over the limit': [answerTooMuch, /maxResponseSize|max size/i],
  'a body in pieces of one byte': [answerInPieces, /more than 20000 pieces/],
  'lists in lists': [(_request, response) => void response.end('['.repeat(2_000)), /1000 levels/],
  'a connection that breaks within the answer': [
    breakInAnswer,
    /terminated|other side closed|aborted|socket/i,
  ],
};

test('An attached app that fails answers 502; only the log has the details', async (t) => {
  for (const [failure, [answer, message]] of Object.entries(FAILURES)) {
    const { host, requests } = await openOtherApp(t, answer);
    const { app, lines } = await buildAppWithRoutes(t, ROUTES, {
      BACKING_APP_URL: `http://${host}`,
    });
    t.strictSame(
      (await ask(app)).json(),
      describe(502, 'BACKING_APP_FAILED', 'Bad Gateway'),
      failure,
    );
    t.match(
      lines,
      [{ level: 50, status: 502, err: { code: 'BACKING_APP_FAILED', message } }],
      failure,
    );
    t.equal(requests.length, 1, 'the app was asked once');
    t.notMatch(JSON.stringify(lines), 'page=2', 'a query is not logged');
  }
});

test("Its answer is checked by the given schema, not by that of the route's body", async (t) => {
  for (const [answer, statusCode] of [
    [THINGS, 200],
    ['{"title":"a"}', 502],
  ] as const) {
    const { host } = await openOtherApp(t, (_request, response) => void response.end(answer));
    const { app } = await buildAppWithRoutes(t, ROUTES, { BACKING_APP_URL: `http://${host}` });
    const options = { method: 'POST', url: '/asks', payload: { title: 'a' } } as const;
    t.equal((await app.inject(options)).statusCode, statusCode, answer);
  }
});

test('A status that is not 200 is known at once, without the rest of its answer', async (t) => {
  const { host } = await openOtherApp(t, (_request, response) => {
    response.writeHead(404).write('a');
  });
  const { app } = await buildAppWithRoutes(t, ROUTES, { BACKING_APP_URL: `http://${host}` });
  t.strictSame((await app.inject('/finds')).json(), [404]);
});

test('An attached app that is not running answers 502', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, {
    BACKING_APP_URL: 'http://127.0.0.1:1',
  });
  t.equal((await ask(app)).statusCode, 502);
  t.match(lines, [{ level: 50, err: { code: 'BACKING_APP_FAILED', message: /ECONNREFUSED/ } }]);
  t.match(await app.readiness.report(), { services: { 'backing-app': { status: 'down' } } });
});

test('A connection that breaks before the answer is retried once', async (t) => {
  const { host, requests } = await openOtherApp(t, ({ socket }) => void socket.destroy());
  const { app } = await buildAppWithRoutes(t, ROUTES, { BACKING_APP_URL: `http://${host}` });
  t.equal((await ask(app)).statusCode, 502);
  t.equal(requests.length, 2);
});

test('A retry that succeeds answers 200', async (t) => {
  const { host, requests } = await openOtherApp(t, (request, response) => {
    if (requests.length === 1) request.socket.destroy();
    else response.end(THINGS);
  });
  const { app } = await buildAppWithRoutes(t, ROUTES, { BACKING_APP_URL: `http://${host}` });
  t.equal((await ask(app)).statusCode, 200);
  t.equal(requests.length, 2);
  t.equal(requests[0]?.headers['x-request-id'], requests[1]?.headers['x-request-id']);
});

/** The ways in which an attached app can be late. */
const DELAYS: Record<string, RequestListener> = {
  'no header': () => undefined,
  'a header and no body': (_request, response) => void response.write('{"things":'),
  'a body byte by byte': (_request, response) => {
    response.write('{"things":[');
    const timer = setInterval(() => response.write(' '), 20);
    response.on('close', () => clearInterval(timer));
  },
};

/**
 * An attached app is late after four fifths of this. The other three seconds are for a busy
 * machine.
 */
const REQUEST_TIMEOUT_MS = '15000';

test('An attached app that is late answers 504 and is asked once', async (t) => {
  const askLate = async ([delay, answer]: [string, RequestListener]) => {
    const { host, requests } = await openOtherApp(t, answer);
    const { app, lines } = await buildAppWithRoutes(t, ROUTES, {
      BACKING_APP_URL: `http://${host}`,
      REQUEST_TIMEOUT_MS,
    });
    t.strictSame(
      (await ask(app)).json(),
      describe(504, 'BACKING_APP_LATE', 'Gateway Timeout'),
      delay,
    );
    t.match(lines, [{ level: 50, status: 504, err: { code: 'BACKING_APP_LATE' } }]);
    t.equal(requests.length, 1);
  };
  await Promise.all(Object.entries(DELAYS).map(askLate));
});

test('An attached app that never finishes the TLS handshake answers 504', async (t) => {
  const silent = createTcpServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.teardown(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  const { app } = await buildAppWithRoutes(t, ROUTES, {
    BACKING_APP_URL: `https://127.0.0.1:${port}`,
    REQUEST_TIMEOUT_MS,
  });
  t.equal((await ask(app)).statusCode, 504);
});

test('A client that disconnects aborts the request to the attached app', async (t) => {
  const closed: Promise<unknown>[] = [];
  const { host } = await openOtherApp(
    t,
    (_request, response) => void closed.push(once(response, 'close')),
  );
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, { BACKING_APP_URL: `http://${host}` });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const controller = new AbortController();
  const asked = fetch(`${url}/asks`, { signal: controller.signal });
  await poll(() => closed.length === 1);
  controller.abort();
  await t.rejects(asked, { name: 'AbortError' });
  await closed[0];
  const listOwn = () => lines.filter(({ requestId }) => requestId);
  await poll(() => listOwn().length > 0);
  await fetch(`${url}/health/live`);
  t.match(listOwn(), [{ level: 30, status: 499 }]);
});

test('A request that asks often listens once for its end', async (t) => {
  const { host } = await openOtherApp(t, (_request, response) => void response.end(THINGS));
  const { app } = await buildAppWithRoutes(t, ROUTES, { BACKING_APP_URL: `http://${host}` });
  const { statusCode, body } = await app.inject('/asks-often');
  t.equal(statusCode, 200);
  t.ok(Number(body) < 15, `${body} listeners`);
});

test('A request with a body asks too, until its client disconnects', async (t) => {
  const closed: Promise<unknown>[] = [];
  const { host } = await openOtherApp(t, (_request, response) => {
    closed.push(once(response, 'close'));
    if (closed.length === 1) setTimeout(() => response.end(THINGS), 50);
  });
  const { app } = await buildAppWithRoutes(t, ROUTES, { BACKING_APP_URL: `http://${host}` });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const headers = { 'content-type': 'application/json' };
  const options = { method: 'POST', body: '{"title":"a"}', headers };
  const answer = await fetch(`${url}/asks`, options);
  t.strictSame([answer.status, await answer.json()], [200, JSON.parse(THINGS)]);
  const controller = new AbortController();
  const asked = fetch(`${url}/asks`, { ...options, signal: controller.signal });
  await poll(() => closed.length === 2);
  controller.abort();
  await t.rejects(asked, { name: 'AbortError' });
  await closed[1];
});

test('A caller that aborts gets an error with a code, whatever its reason', async (t) => {
  const { host } = await openOtherApp(t, () => undefined);
  const { app } = await buildAppWithRoutes(t, ROUTES, { BACKING_APP_URL: `http://${host}` });
  for (const reason of [undefined, new Error('late'), 'late', 5]) {
    const controller = new AbortController();
    const asked = app.backingApp!.get('/', Type.Any(), { signal: controller.signal, id: 'x' });
    controller.abort(reason);
    await t.rejects(asked, { statusCode: 502, code: 'BACKING_APP_FAILED' });
  }
});

test('An app that is attached to itself answers 502 instead of looping', async (t) => {
  const port = await findFreePort();
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, {
    BACKING_APP_URL: `http://127.0.0.1:${port}`,
  });
  await app.listen({ host: '127.0.0.1', port });
  t.equal((await ask(app)).statusCode, 502);
  const requests = findRequests(lines);
  t.match(requests, [
    { path: '/things', status: 508 },
    { path: '/asks', status: 502, err: { message: /it answered 508/ } },
  ]);
  t.equal(requests.length, 2);
  t.match(await app.readiness.report(), { services: { 'backing-app': { status: 'down' } } });
});

test('Two apps that are attached to each other answer 502 instead of looping', async (t) => {
  const ports = [await findFreePort(), await findFreePort()] as const;
  const first = await buildAppWithRoutes(t, ROUTES, {
    BACKING_APP_URL: `http://127.0.0.1:${ports[1]}`,
  });
  const second = await buildAppWithRoutes(t, ROUTES, {
    BACKING_APP_URL: `http://127.0.0.1:${ports[0]}`,
  });
  await first.app.listen({ host: '127.0.0.1', port: ports[0] });
  await second.app.listen({ host: '127.0.0.1', port: ports[1] });
  t.equal((await ask(first.app)).statusCode, 502);
  const [ofFirst, ofSecond] = [findRequests(first.lines), findRequests(second.lines)];
  t.match(ofFirst, [
    { path: '/things', status: 508 },
    { path: '/asks', status: 502 },
  ]);
  t.match(ofSecond, [{ path: '/things', status: 502 }]);
  t.equal(ofFirst.length + ofSecond.length, 3);
  await Promise.all([first, second].map(({ app }) => poll(() => isUp(app))));
});

test('Readiness is degraded while the attached app is down, and recovers', async (t) => {
  let status = 500;
  const { host, requests } = await openOtherApp(
    t,
    (_request, response) => void response.writeHead(status).end('{}'),
  );
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, { BACKING_APP_URL: `http://${host}` });
  t.notOk(await isUp(app));
  status = 200;
  await poll(() => isUp(app));
  t.ok(requests.every(({ url }) => url === '/health/live'));
  const said = lines.map(({ msg }) => msg).filter((msg) => msg.startsWith('backing-app'));
  t.strictSame(said, ['backing-app is down', 'backing-app is back']);
});

async function isUp(app: FastifyInstance): Promise<boolean> {
  return (await app.readiness.report()).services['backing-app']?.status === 'up';
}

/** Leaves out the line about the database, which may come at any time. */
function findRequests(lines: LogLine[]): LogLine[] {
  return lines.filter(({ path }) => path);
}

function describe(statusCode: number, code: string, error: string) {
  return { statusCode, code, error, message: error };
}

function answerTooMuch(_request: IncomingMessage, response: ServerResponse): void {
  response.write('{"things":["');
  const fill = () => {
    while (response.writable && response.write('a'.repeat(64 * 1024)));
  };
  response.on('drain', fill);
  fill();
}

function answerInPieces({ socket }: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200);
  response.write(' ', () => socket.write('1\r\n \r\n'.repeat(100_000)));
}

function breakInAnswer({ socket }: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'content-length': THINGS.length });
  response.write(THINGS.slice(0, 5), () => socket.destroy());
}
