import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { type Test, test } from 'tap';
import { buildAppWithRoutes, type Environment, fetchUncompressed, poll } from '../helper.ts';

/** In bytes: more than the kernel buffers for a client that does not read. */
const LARGE = 8 * 1024 * 1024;

const ROUTES = `
  import { once } from 'node:events';
  import { Readable } from 'node:stream';
  import { setTimeout as sleep } from 'node:timers/promises';

  export default async (app) => {
    const onSend = async (request, reply, payload) => {
      await sleep(50);
      return payload;
    };
    app.get('/late', { onSend }, async (request) => {
      await once(request.signal, 'abort');
      request.log.info('aborted');
      return { late: true };
    });
    app.get('/taken', async (request, reply) => {
      reply.hijack();
      await once(request.signal, 'abort');
      request.log.info('told');
    });
    app.register(async (inner) => {
      inner.addHook('onError', () => new Promise(() => undefined));
      inner.get('/reported', async () => {
        throw new Error('failed');
      });
    });
    app.register(async (inner) => {
      inner.addHook('onError', () => sleep(50));
      inner.get('/late-reported', ({ signal }) => sleep(60_000, undefined, { signal }));
    });
    app.register(async (scope) => {
      scope.setErrorHandler((error, request, reply) => reply.send(Buffer.alloc(${LARGE}, 'a')));
      scope.get('/late-bytes', () => new Promise(() => undefined));
    });
    app.get('/taken-patient', { config: { timeout: false } }, async (request, reply) => {
      reply.hijack();
      await sleep(500);
      reply.raw.end('patient');
    });
    app.get('/patient', { config: { timeout: false } }, async () => {
      await sleep(500);
      return { patient: true };
    });
    app.get('/broken', (request, reply) => reply.send(breakLate(request.signal)));
    app.get('/endless', (request, reply) => reply.send(Readable.from(writeForever())));
    app.get('/text', () => 'x' + '😀'.repeat(${LARGE / 4 - 1}) + 'xxx');
    app.get('/small', () => Buffer.alloc(40_000, 'a'));
    app.get('/bytes', () => Buffer.alloc(${LARGE}, 'a'));
    // A plugin for WebSockets would refuse this upgrade.
    app.server.removeAllListeners('upgrade');
    app.server.on('upgrade', (request, socket) => socket.write(Buffer.alloc(${LARGE * 2})));
  };

  function breakLate(signal) {
    const stream = new Readable({ read() {} });
    signal.addEventListener('abort', () => stream.destroy(new Error('late')));
    return stream;
  }

  async function* writeForever() {
    for (;;) {
      yield 'on';
      await sleep(5);
    }
  }
`;

const SOCKETS = `
  import websocket from '${import.meta.resolve('../fixture/websocket.ts')}';

  export default async (app) => {
    await app.register(websocket);
    app.get('/socket', { websocket: true }, () => undefined);
    app.get('/late', () => new Promise(() => undefined));
  };
`;

/** Starts the app on a free port. */
async function listen(t: Test, environment: Environment = {}, routes = ROUTES) {
  const { app, lines } = await buildAppWithRoutes(t, routes, {
    RATE_LIMIT_MAX: '0',
    ...environment,
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, lines, url };
}

/** Sends a GET and does not read the answer. */
async function ask(t: Test, url: string, path: string, headers = ''): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).on('error', () => undefined);
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  socket.pause().write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\n${headers}\r\n`);
  return socket;
}

async function waitForReader(app: FastifyInstance): Promise<void> {
  await poll(() => app.openRequests.list().some(({ waiting }) => waiting > 0));
}

test('A late handler answers one 503, and its request.signal is aborted', async (t) => {
  const { app, url, lines } = await listen(t, { REQUEST_TIMEOUT_MS: '100' });
  t.equal((await app.inject('/late')).statusCode, 503);
  lines.length = 0;
  const answer = await fetch(`${url}/late`);
  t.equal(answer.status, 503);
  t.match(answer.headers.get('retry-after'), /^\d+$/);
  t.match(await answer.json(), { statusCode: 503, code: 'SERVICE_UNAVAILABLE' });
  await poll(() => lines.some(({ msg }) => msg === 'request failed'));
  await poll(() => lines.some(({ msg }) => msg === 'aborted'));
  t.match(
    lines.filter(({ requestId, msg }) => requestId && msg !== 'aborted'),
    [{ msg: 'request failed', status: 503, err: { code: 'FST_ERR_HANDLER_TIMEOUT' } }],
  );
});

test('A late handler that ends with its signal answers 503, after onError hooks', async (t) => {
  const { url } = await listen(t, { REQUEST_TIMEOUT_MS: '100' });
  t.equal((await fetch(`${url}/late-reported`)).status, 503);
});

test('A late request gets a 503 if the error handler of its scope is late too', async (t) => {
  const routes = `
    import { Readable } from 'node:stream';
    import { setTimeout as sleep } from 'node:timers/promises';
    async function* writeSlowly() {
      yield '{ "own": ';
      await sleep(200);
      yield 'true }';
    }
    const send = (error, request, reply, body = { own: true }) => void reply.code(504).send(body);
    const scopes = {
      '/in-time': { handler: send },
      '/slow': { handler: (...all) => send(...all, Readable.from(writeSlowly())) },
      '/waits': { handler: async () => (await sleep(1), { own: true }) },
      '/hangs': { handler: () => new Promise(() => undefined) },
      '/hook': { handler: send, onError: () => sleep(1) },
    };
    export default async (app) => {
      for (const [path, { handler, onError }] of Object.entries(scopes))
        app.register(async (scope) => {
          scope.setErrorHandler(handler);
          if (onError) scope.addHook('onError', onError);
          scope.get(path, () => new Promise(() => undefined));
          scope.get(path + '/answers', () => sleep(200, {}));
        });
    };
  `;
  const { app, url, lines } = await listen(t, { REQUEST_TIMEOUT_MS: '100' }, routes);
  const expected = { '/in-time': 504, '/slow': 504, '/waits': 503, '/hangs': 503, '/hook': 503 };
  for (const [scope, status] of Object.entries(expected))
    for (const path of [scope, `${scope}/answers`]) {
      const answer = await fetch(url + path);
      const body = status === 503 ? { code: 'SERVICE_UNAVAILABLE' } : { own: true };
      t.match([answer.status, await answer.json()], [status, body], path);
      t.equal(answer.headers.has('retry-after'), status === 503);
      const find = () => lines.find((line) => line.path === path);
      await poll(() => find() !== undefined);
      t.match(find(), { level: 50, status, err: { code: 'FST_ERR_HANDLER_TIMEOUT' } });
    }
  t.strictSame(app.openRequests.list(), []);
});

test('An answer that its hooks keep too long is a 503, and not sent later', async (t) => {
  const routes = `
    import { Readable } from 'node:stream';
    import { setTimeout as sleep } from 'node:timers/promises';
    export default async (app) => {
      const called = (request, reply, payload, done) => void sleep(400).then(() => done(null, payload));
      const promised = async (request, reply, payload) => {
        await sleep(400);
        return payload;
      };
      for (const [name, hook] of Object.entries({ called, promised })) {
        app.get('/send-' + name, { onSend: hook }, async () => ({}));
        app.get('/write-' + name, { preSerialization: hook }, async () => ({}));
        app.get('/error-' + name, { onSend: hook }, async (request, reply) => reply.callNotFound());
        app.get('/stream-' + name, { onSend: hook }, async (request, reply) => {
          const stream = Readable.from(['a', 'b']);
          stream.once('close', () => request.log.info('closed'));
          return reply.send(stream);
        });
      }
    };
  `;
  const { app, url, lines } = await listen(t, { REQUEST_TIMEOUT_MS: '100' }, routes);
  const paths = ['send', 'write', 'error', 'stream'].flatMap((kind) =>
    ['called', 'promised'].map((form) => `/${kind}-${form}`),
  );
  for (const path of paths) {
    const answer = await fetch(url + path);
    t.equal(answer.status, 503, path);
    t.match(await answer.json(), { code: 'SERVICE_UNAVAILABLE' });
  }
  await poll(() => lines.filter(({ msg }) => msg === 'closed').length === 2);
  await sleep(500);
  t.strictSame(app.openRequests.list(), []);
  const failures = lines.filter(({ level, requestId }) => requestId && level > 40);
  t.match(
    failures,
    paths.map((path) => ({ msg: 'request failed', path, status: 503 })),
  );
  t.equal(failures.length, paths.length);
});

test('A route with timeout: false may take longer', async (t) => {
  const { url } = await listen(t, { REQUEST_TIMEOUT_MS: '200' });
  t.strictSame(await (await fetch(`${url}/patient`)).json(), { patient: true });
});

test('A route with a longer handlerTimeout may take that long', async (t) => {
  const routes = `
    import { setTimeout as sleep } from 'node:timers/promises';
    export default async (app) => {
      app.get('/patient', { handlerTimeout: 60_000 }, () => sleep(500, {}));
    };
  `;
  const { url } = await listen(t, { REQUEST_TIMEOUT_MS: '100' }, routes);
  t.equal((await fetch(`${url}/patient`)).status, 200);
});

test('A stream that has begun may take longer', async (t) => {
  const { app, url } = await listen(t, { REQUEST_TIMEOUT_MS: '2000' });
  const socket = await ask(t, url, '/endless');
  await once(socket.resume(), 'data');
  // This request began later, and its time is over.
  t.equal((await fetch(`${url}/late`)).status, 503);
  t.match(app.openRequests.describe(), [{ path: '/endless' }]);
});

test('A stream that breaks after its 503 is not logged again', async (t) => {
  const { app, url, lines } = await listen(t, { REQUEST_TIMEOUT_MS: '100' });
  t.equal((await fetch(`${url}/broken`)).status, 503);
  t.equal((await app.inject({ url: '/taken-patient', headers: { upgrade: 'a' } })).body, 'patient');
  t.match(
    lines.filter(({ level, requestId }) => requestId && level > 30),
    [{ msg: 'request failed', status: 503 }],
  );
});

test('A slow reader gets a large answer whole, with its Content-Length', async (t) => {
  const { url } = await listen(t);
  for (const path of ['/text', '/bytes']) {
    const answer = await fetchUncompressed(`${url}${path}`);
    t.equal(answer.headers.get('content-length'), `${LARGE}`, path);
    const text = await answer.text();
    t.equal(Buffer.byteLength(text), LARGE, path);
    t.notMatch(text, '\ufffd', 'no character is cut in two');
    const head = await fetchUncompressed(`${url}${path}`, { method: 'HEAD' });
    t.equal(head.headers.get('content-length'), `${LARGE}`, path);
  }
});

test('A client that stops reading is disconnected, on an upgraded connection too', async (t) => {
  const { app, url, lines } = await listen(t);
  for (const headers of ['', 'Connection: upgrade\r\nUpgrade: websocket\r\n']) {
    const socket = await ask(t, url, '/bytes', headers);
    await waitForReader(app);
    t.match(app.openRequests.describe(), [
      { path: '/bytes', ...(headers && { upgrade: 'websocket' }) },
    ]);
    await poll(() => {
      // Simulates a longer time.
      for (const reader of app.openRequests.list()) reader.progressAt -= 60_000;
      return app.openRequests.list().length === 0;
    });
    socket.resume();
    await once(socket, 'close');
  }
  t.match(lines.filter(({ msg }) => msg.includes('cut off')).length, 1);
});

test('A client that does not read a late answer is disconnected', async (t) => {
  const { app, url } = await listen(t, { REQUEST_TIMEOUT_MS: '100' });
  const socket = await ask(t, url, '/late-bytes');
  await waitForReader(app);
  await poll(() => {
    for (const reader of app.openRequests.list()) reader.progressAt -= 60_000;
    return app.openRequests.list().length === 0;
  });
  await once(socket.resume(), 'close');
});

test('contract 31: Clients that stop reading hold a limited number of bytes', async (t) => {
  const { app, url } = await listen(t);
  const slow = await ask(t, url, '/bytes');
  await waitForReader(app);
  let read = 0;
  slow.on('data', (data) => {
    read += data.length;
  });
  for (let count = 0; count < 60; count++) await ask(t, url, '/bytes');
  t.equal((await fetch(`${url}/health/live`)).status, 200);
  slow.resume();
  await poll(() => read > LARGE);
  const readers = app.openRequests.list().filter(({ waiting }) => waiting > 0);
  t.ok(readers.length > 2 && readers.length <= 5, `${readers.length} readers`);
});

test('A client that reads none of many small answers is disconnected', async (t) => {
  const { app, url, lines } = await listen(t);
  const request = 'GET /small HTTP/1.1\r\nHost: a\r\n\r\n';
  // 320 MB: more than the kernel buffers and the limit.
  for (let count = 0; count < 8; count++)
    (await ask(t, url, '/small')).write(request.repeat(1_000));
  const findCutOff = () => lines.filter(({ msg }) => msg.includes('cut off'));
  await poll(() => findCutOff().length > 0);
  t.equal((await fetch(`${url}/health/live`)).status, 200);
  const held = app.openRequests.list().reduce((sum, { waiting }) => sum + waiting, 0);
  t.ok(held < 60 * 1024 * 1024, `${held} bytes are held`);
  t.ok(findCutOff().length <= 8, `${findCutOff().length} lines`);
});

test('A client with too many open requests on one connection is disconnected', async (t) => {
  const { app, url, lines } = await listen(t);
  const socket = await ask(t, url, '/late');
  socket.write('GET /late HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20_000));
  socket.resume();
  await poll(() => socket.closed && app.openRequests.list().length === 0);
  t.equal(lines.filter(({ msg }) => msg.includes('too many open requests')).length, 1);
  const count = lines.filter(({ path }) => path === '/late').length;
  t.ok(count > 5_000 && count < 8_000, `${count} requests`);
  t.equal((await fetch(`${url}/health/live`)).status, 200);
});

test('A hijacked answer that does not begin is ended, except with timeout: false', async (t) => {
  const { app, lines, url } = await listen(t, { REQUEST_TIMEOUT_MS: '200' });
  // Without `Connection: upgrade`, this is no upgrade.
  await once((await ask(t, url, '/taken', 'Upgrade: other\r\n')).resume(), 'close');
  t.equal(await (await fetch(`${url}/taken-patient`)).text(), 'patient');
  await poll(() => lines.some(({ msg }) => msg === 'told'));
  t.match(
    lines.filter(({ msg }) => msg.startsWith('A hijacked answer')),
    [{ level: 50, err: { code: 'FST_ERR_HANDLER_TIMEOUT' } }],
  );
  await poll(() => app.openRequests.list().length === 0);
  t.match(
    lines.filter(({ path }) => path === '/taken'),
    [{ msg: 'request', status: 499 }],
  );
});

test('A WebSocket stays open for longer than REQUEST_TIMEOUT_MS', async (t) => {
  const { url } = await listen(t, { REQUEST_TIMEOUT_MS: '100' }, SOCKETS);
  const socket = new WebSocket(`${url}/socket`);
  await once(socket, 'open');
  // This request began later, and its time is over.
  t.equal((await fetch(`${url}/late`)).status, 503);
  t.equal(socket.readyState, WebSocket.OPEN);
  socket.close();
  await once(socket, 'close');
});

test('Late requests are ended, also one whose onError hook never ends', async (t) => {
  const { app, url, lines } = await listen(t, { REQUEST_TIMEOUT_MS: '2000' });
  const reported = t.rejects(fetch(`${url}/reported`));
  await poll(() => app.openRequests.list().length === 1);
  const answers = Array.from({ length: 3 }, () => fetch(`${url}/late`));
  for (const answer of await Promise.all(answers)) t.equal(answer.status, 503);
  await reported;
  t.match(
    lines.filter(({ msg }) => msg.startsWith('A late request')),
    [{ level: 50, err: { code: 'FST_ERR_SEND_INSIDE_ONERR' } }],
  );
});
