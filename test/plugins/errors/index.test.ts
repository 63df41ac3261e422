import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import { buildAppWithRoutes } from '../../helper.ts';

/** Routes that fail in different ways. */
const FAILING = `
  import createError from '${import.meta.resolve('@fastify/error')}';
  const Teapot = createError('I_M_A_TEAPOT', 'Short and stout.', 418);
  const Taken = createError('TAKEN', 'Taken.', 409);
  const Fault = createError('BAD_USE_OF_HUNTER2', 'hunter2');
  const Odd = createError('ODD', 'Odd.', 499);
  const Down = createError('STORE_DOWN', 'hunter2', 502);
  const Away = createError('STORE_AWAY', 'hunter2', 503);
  export default async (app) => {
    app.get('/bug', async () => {
      throw Object.assign(new Error('password is hunter2'), { code: 'EBUG' });
    });
    app.get('/text', async () => { throw 'hunter2' });
    app.get('/fault', async () => { throw new Fault() });
    app.get('/teapot', async () => { throw new Teapot() });
    app.get('/named', async () => { throw new Taken() });
    app.get('/odd', async () => { throw new Odd() });
    const fail = (fields) => { throw Object.assign(new Error('hunter2'), fields) };
    app.get('/wrong', async () => fail({ statusCode: 200 }));
    app.get('/copied', async () => fail({ statusCode: 400, code: 'FST_CP_ERR' }));
    app.get('/library', async () => fail({ statusCode: 404, code: 'E_HUNTER2' }));
    // As http-errors and @fastify/sensible make them.
    const expose = (statusCode, expose) =>
      { throw Object.assign(new Error(\`\${statusCode}\`), { statusCode, expose }) };
    app.get('/gone', async () => expose(410, true));
    app.get('/secret', async () => expose(403, false));
    app.get('/shown', async () => expose(502, true));
    app.get('/busy', async () => expose(503, false));
    const send = (fields) => { throw Object.assign(new Error('Told'), fields) };
    const names = { 'X-Request-ID': 'theirs', 'x-none': undefined };
    const headers = { ...names, 'Retry-After': 7, 'WWW-Authenticate': 'Basic', etag: '"a"', 'x-a': 'a\\nb' };
    app.get('/headers/401', async () => send({ statusCode: 401, expose: true, headers }));
    app.get('/headers/503', async () => send({ statusCode: 503, expose: false, headers }));
    app.get('/headers/500', async () => send({ statusCode: 503, expose: true, headers }));
    app.get('/headers/fault', async () => { throw Object.assign(new Fault(), { headers }) });
    app.get('/headers/418', async () => { throw Object.assign(new Teapot(), { headers }) });
    const range = { 'Content-Range': 'bytes */15' };
    app.get('/headers/416', async () => send({ statusCode: 416, expose: true, headers: range }));
    app.get('/headers/409', async () => send({ statusCode: 409, expose: true, headers: null }));
    app.get('/headers/410', async () => send({ statusCode: 410, expose: true, headers: 'none' }));
    app.get('/later', async (request, reply) => {
      reply.header('retry-after', '120');
      throw new Away();
    });
    const validation = [{ message: 'hunter2' }];
    app.get('/invalid', async () => fail({ statusCode: 400, validation }));
    app.get('/kept', async (request, reply) => {
      reply.header('cache-control', 'public, max-age=60');
      throw new Taken();
    });
    app.get('/down', async () => { throw new Down() });
    app.get('/coded', async (request, reply) => { reply.code(503); throw new Error('hunter2') });
    app.get('/away', async () => { throw new Error('away') });
    app.get('/taken', async () => { throw new Error('taken') });
    const number = (made) => { throw Object.assign(made, { code: 5, message: 6 }) };
    app.get('/number/4xx', async () => number(new Taken()));
    app.get('/number/5xx', async () => number(new Down()));
    app.post('/items', async ({ body }) => body);
    app.get('/items/:id', async () => ({}));
    app.delete('/items/:id', async () => ({}));
    app.get('/items/:id/:part/words', async () => ({}));
    app.get('/versions', { constraints: { version: '1.2.0' } }, async () => ({}));
    app.get('/hosts', { constraints: { host: 'a.example' } }, async () => ({}));
    app.get('/range', async (request, reply) => {
      reply.headers({ 'content-range': 'bytes */15', 'content-encoding': 'br' });
      expose(416, true);
    });
    app.get('/broken-head', async (request, reply) => reply.header('x-a', 'a\\nb').send({}));
    app.get('/files/*', (request, reply) => reply.callNotFound());
    app.answerErrors(({ message }) => {
      if (message === 'away') return Object.assign(new Away(), { retryAfter: 7 });
    });
    app.answerErrors(({ message }) => message === 'taken' ? new Down() : undefined);
    app.answerErrors(({ message }) => message === 'taken' ? new Taken() : undefined);
  };
`;

test('GET /kept: an error is not cached, even if its route allows caching', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  const answer = await app.inject('/kept');
  t.match(answer, { statusCode: 409, headers: { 'cache-control': 'no-store' } });
  t.notOk((await app.inject('/named')).headers['cache-control']);
});

test('A translation that throws is logged, and the others are asked', async (t) => {
  const code = `${FAILING.replace(/\s*};\s*$/, '')}
    app.answerErrors((error) => error.constraint.startsWith('a') ? new Taken() : undefined);
  };`;
  const { app, lines } = await buildAppWithRoutes(t, code);
  const answer = await app.inject('/away');
  t.match(answer, { statusCode: 503, headers: { 'retry-after': '7' } });
  const failed = {
    level: 40,
    msg: 'A function of answerErrors failed',
    err: { type: 'TypeError' },
  };
  t.match(lines, [failed, { level: 50, status: 503 }]);
});

test('A code and a message that are numbers become texts', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  const error = { statusCode: 409, code: '5', error: 'Conflict', message: '6' };
  t.strictSame((await app.inject('/number/4xx')).json(), error);
  const { code, message } = (await app.inject('/number/5xx')).json();
  t.strictSame({ code, message }, { code: '5', message: 'Bad Gateway' });
});

test('A bug answers 500; only the log has the details', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, FAILING);
  for (const url of ['/bug', '/text', '/fault', '/wrong', '/library', '/invalid']) {
    const answer = await app.inject(url);
    t.equal(answer.statusCode, 500);
    t.match(answer.headers['content-type'], 'application/json');
    const message = 'Internal Server Error';
    t.strictSame(answer.json(), {
      statusCode: 500,
      code: 'INTERNAL_SERVER_ERROR',
      error: message,
      message,
    });
  }
  t.match(lines, [
    {
      level: 50,
      path: '/bug',
      status: 500,
      err: { message: 'password is hunter2', stack: /index\.js/ },
    },
    { level: 50, path: '/text', status: 500, err: { message: 'hunter2' } },
    { level: 50, path: '/fault', status: 500, err: { code: 'BAD_USE_OF_HUNTER2' } },
    { level: 50, path: '/wrong', status: 500, err: { message: 'hunter2' } },
    { level: 50, path: '/library', status: 500, err: { message: 'hunter2', code: 'E_HUNTER2' } },
    { level: 50, path: '/invalid', status: 500, err: { message: 'hunter2' } },
  ]);
  t.equal(lines.length, 6, 'one line for each request');
});

/** Errors that cannot be read, and a header that cannot be sent. */
const UNREADABLE = `
  import createError from '${import.meta.resolve('@fastify/error')}';
  const trap = { get message() { throw new Error('hunter2') } };
  export default async (app) => {
    app.answerErrors(({ message }) => void message.startsWith('a'));
    const Quota = createError('QUOTA', 'No more.', 402);
    app.answerErrors(({ code }) => (code === 'P0402' ? new Quota() : undefined));
    app.get('/coded', async () => { throw { code: 'P0402' } });
    app.get('/null', async () => { throw null });
    app.get('/trap', async () => { throw trap });
    app.get('/status', async () => { throw { get statusCode() { throw trap } } });
    app.get('/symbol', async () => { throw Object.assign(new Error(), { name: Symbol('a') }) });
    app.get('/object', async () => { throw { message: 'quota' } });
    app.get('/header', async (request, reply) => {
      reply.header('etag', 'a').header('x-broken', 'a\\nb');
      throw new Error('a bug');
    });
  };
`;

test('An unreadable error, or a header that cannot be sent, answers 500', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, UNREADABLE);
  for (const url of ['/null', '/trap', '/status', '/symbol', '/object', '/header']) {
    const answer = await app.inject(url);
    t.equal(answer.statusCode, 500, url);
    t.equal(answer.json().code, 'INTERNAL_SERVER_ERROR', url);
    t.match(answer.headers, { etag: undefined, 'x-broken': undefined });
  }
  t.equal((await app.inject('/coded')).statusCode, 402);
  const unreadable = { message: /^The thrown value is not a readable error/ };
  const errors = [{ message: 'null' }, unreadable, unreadable, unreadable, { message: 'quota' }];
  t.match(
    lines.map(({ err }) => err),
    errors,
  );
  t.notMatch(JSON.stringify(lines), 'hunter2');
});

test('An error of http-errors answers its status, if that may be exposed', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  const gone = { statusCode: 410, code: 'GONE', error: 'Gone', message: '410' };
  t.strictSame((await app.inject('/gone')).json(), gone);
  for (const url of ['/secret', '/shown']) t.equal((await app.inject(url)).statusCode, 500, url);
  const busy = await app.inject('/busy');
  t.match(busy, { statusCode: 503, headers: { 'retry-after': '5' } });
  t.match(busy.json(), { code: 'SERVICE_UNAVAILABLE', message: 'Service Unavailable' });
});

test('An error for the client brings its headers, but for those of a content', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  for (const status of [401, 503, 418]) {
    const { statusCode, headers } = await app.inject(`/headers/${status}`);
    t.match({ statusCode, headers }, { statusCode: status, headers: { 'retry-after': '7' } });
    t.match(headers, { 'www-authenticate': 'Basic' });
    const [etag, broken, none] = [headers.etag, headers['x-a'], headers['x-none']];
    t.match([etag, broken, none], [undefined, undefined, undefined], `${status}`);
    t.not(headers['x-request-id'], 'theirs');
  }
  for (const url of ['/headers/500', '/headers/fault']) {
    const { statusCode, headers } = await app.inject(url);
    t.equal(statusCode, 500);
    t.notOk(headers['retry-after'] || headers['www-authenticate'], url);
  }
  t.equal((await app.inject('/headers/416')).headers['content-range'], 'bytes */15');
  const gone = await app.inject('/headers/410');
  t.match(gone.json(), { statusCode: 410, message: 'Told' });
  t.notOk('0' in gone.headers);
  t.equal((await app.inject('/headers/409')).statusCode, 409);
});

test('A 503 says when to try again: as its error, its route, or the app', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  const pauses = { '/away': '7', '/later': '120', '/busy': '5', '/coded': '5' };
  for (const [url, pause] of Object.entries(pauses))
    t.equal((await app.inject(url)).headers['retry-after'], pause, url);
});

test("An error's own errors are sent only if they are problems of the request", async (t) => {
  const { app } = await buildAppWithRoutes(
    t,
    `
      import createError from '${import.meta.resolve('@fastify/error')}';
      const Wrong = createError('WRONG', 'It is wrong', 422);
      const problem = { path: '/a', in: 'body', message: 'must be 1' };
      const lists = {
        problems: [{ ...problem, secret: 'hunter2' }],
        texts: ['hunter2'],
        none: 'hunter2',
        half: [problem, { path: '/b', secret: 'hunter2' }],
      };
      export default async (app) => {
        for (const [name, errors] of Object.entries(lists))
          app.get('/' + name, async () => { throw Object.assign(new Wrong(), { errors }) });
      };
    `,
  );
  const problem = { path: '/a', in: 'body', message: 'must be 1' };
  const expected = { problems: [problem], texts: undefined, none: undefined, half: undefined };
  for (const [name, errors] of Object.entries(expected)) {
    const body = (await app.inject(`/${name}`)).json();
    t.strictSame([body.code, body.errors], ['WRONG', errors], name);
  }
});

test('An error that has a code of Fastify has its own status', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  t.match((await app.inject('/copied')).json(), { statusCode: 400, code: 'FST_CP_ERR' });
});

test('A 5xx that a route chose tells the client its code alone', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, FAILING);
  const down = await app.inject('/down');
  t.strictSame(
    [down.statusCode, down.json().code, down.json().message],
    [502, 'STORE_DOWN', 'Bad Gateway'],
  );
  const coded = await app.inject('/coded');
  t.strictSame([coded.statusCode, coded.json().message], [503, 'Service Unavailable']);
  t.match(lines, [
    { level: 50, err: { message: 'hunter2' } },
    { level: 50, err: { message: 'hunter2' } },
  ]);
});

test('A 4xx has its message in the answer, and is logged at info', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, FAILING);
  t.strictSame((await app.inject('/named')).json(), {
    statusCode: 409,
    code: 'TAKEN',
    error: 'Conflict',
    message: 'Taken.',
  });
  t.match((await app.inject('/teapot')).json(), {
    statusCode: 418,
    code: 'I_M_A_TEAPOT',
    message: 'Short and stout.',
  });
  t.match((await app.inject('/odd')).json(), { statusCode: 499, error: 'Error', message: 'Odd.' });
  t.strictSame(
    lines.map(({ level }) => level),
    [30, 30, 30],
  );
  t.ok(lines.every(({ err }) => err === undefined));
});

test('An error of a backing service answers what its plugin translates it to', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, FAILING, { LOG_LEVEL: 'debug' });
  const away = await app.inject('/away');
  t.equal(away.headers['retry-after'], '7');
  t.match(away.json(), { statusCode: 503, code: 'STORE_AWAY', message: 'Service Unavailable' });
  const taken = await app.inject('/taken');
  t.match(taken.json(), { statusCode: 409, code: 'TAKEN', message: 'Taken.' });
  t.match(lines, [
    { level: 50, err: { message: 'away' } },
    {
      level: 20,
      err: { message: String, stack: String },
      msg: 'The client gets this error as a 4xx',
    },
    { level: 30, status: 409, err: undefined },
  ]);
});

test('GET /nowhere answers 404 without repeating the query', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, FAILING);
  const answer = await app.inject('/nowhere?token=hunter2');
  t.equal(answer.statusCode, 404);
  const message = 'GET /nowhere does not exist.';
  t.strictSame(answer.json(), { statusCode: 404, code: 'NOT_FOUND', error: 'Not Found', message });
  t.notMatch(JSON.stringify(lines), 'hunter2');
});

test('A method that a path does not have answers 405 with those it has', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  const paths = {
    '/bug?fast=1': 'GET, HEAD',
    '/items/7': 'DELETE, GET, HEAD',
    '/health/ready': 'GET, HEAD',
  };
  for (const [url, allow] of Object.entries(paths)) {
    const answer = await app.inject({ method: 'PUT', url });
    t.equal(answer.statusCode, 405, url);
    t.equal(String(answer.headers.allow).split(', ').sort().join(', '), allow);
    t.match(answer.json(), {
      code: 'METHOD_NOT_ALLOWED',
      message: `PUT is not allowed on ${url.split('?')[0]}.`,
    });
  }
});

test('A method that a route with constraints does not have answers 405', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  const post = async (url: string, headers: Record<string, string>) =>
    (await app.inject({ method: 'POST', url, headers })).statusCode;
  t.equal(await post('/versions', { 'accept-version': '1.x' }), 405);
  t.equal(await post('/versions', { 'accept-version': '2.x' }), 404);
  t.equal(await post('/hosts', { host: 'a.example' }), 405);
  t.equal(await post('/hosts', { host: 'b.example' }), 404);
});

test('A 416 keeps the length of the content, and no other header of it', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  const answer = await app.inject('/range');
  t.match(answer, { statusCode: 416, headers: { 'content-range': 'bytes */15' } });
  t.notOk(answer.headers['content-encoding']);
});

test('A head that cannot be sent leaves nothing in the 500', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  socket.write('GET /broken-head HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  t.match(await text(socket), /^HTTP\/1\.1 500 Internal Server Error\r\n/);
});

test('GET of a file that its route does not find answers 404', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  for (const method of ['GET', 'HEAD'] as const) {
    const answer = await app.inject({ method, url: '/files/a.js' });
    t.equal(answer.statusCode, 404, method);
    t.notOk(answer.headers.allow);
  }
  t.equal((await app.inject({ method: 'PUT', url: '/files/a.js' })).statusCode, 405);
});

test('PUT on a path that the log shortens answers 405 with the methods of the whole path', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  const long = '%C3%A9'.repeat(82);
  for (const url of [`/items/${long}/x/words`, `/items/a@b:7/${long}/words?fast=1`]) {
    const answer = await app.inject({ method: 'PUT', url });
    t.equal(answer.statusCode, 405);
    t.equal(answer.headers.allow, 'GET, HEAD');
    t.equal(answer.json().message, `PUT is not allowed on ${url.slice(0, 500)}.`);
  }
  const answer = await app.inject({ method: 'PUT', url: `/nowhere/${long}/words/x` });
  t.equal(answer.statusCode, 404);
});

test('A request without exactly one Host answers 400, except HTTP/1.0', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const statuses = {
    'GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n': 200,
    'GET /health/live HTTP/1.1\r\nConnection: close\r\n\r\n': 400,
    'GET /health/live HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n': 400,
    'GET /health/live HTTP/1.0\r\n\r\n': 200,
  };
  for (const [request, status] of Object.entries(statuses)) {
    const answer = await send(app, request);
    t.match(answer, `HTTP/1.1 ${status} `, request);
    if (status === 400)
      t.match(answer, /"statusCode":400,"code":"\w+","error":"Bad Request","message":".+\."/);
  }
});

test('A body later than REQUEST_TIMEOUT_MS answers 408 and ends the connection', async (t) => {
  const { app } = await buildAppWithRoutes(t, FAILING, { REQUEST_TIMEOUT_MS: '50' });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const head =
    'POST /items HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n' +
    'Content-Type: application/json\r\n\r\n{';
  const answer = await send(app, head);
  t.match(answer, /^HTTP\/1\.1 408 /);
  t.match(answer, /^connection: close\r$/im);
  t.match(answer, '"statusCode":408');
});

/** Sends raw bytes, and resolves with all received data when the connection ends. */
async function send(app: FastifyInstance, bytes: string): Promise<string> {
  const { port } = app.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  socket.write(bytes);
  return text(socket);
}

test('An answer that fails after its headers were sent ends the connection', async (t) => {
  const { app, lines } = await buildAppWithRoutes(
    t,
    `export default async (app) => app.get('/begun', async (request, { raw }) => {
      await new Promise((resolve) => raw.writeHead(200).write('begun', resolve));
      throw new Error('too late');
    });`,
  );
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const answer = await fetch(`${url}/begun`);
  await t.rejects(answer.text());
  t.match(
    lines.filter(({ path }) => path === '/begun'),
    [{ status: 200 }],
  );
});
