import { once } from 'node:events';
import { pathToFileURL } from 'node:url';
import { test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { readAddress } from '../../src/client-address.ts';
import { openHttpListener } from '../../src/listener.ts';
import { addLogFields } from '../../src/logger.ts';
import { OperatorError } from '../../src/operator-error.ts';
import { readPath } from '../../src/request-log.ts';
import {
  buildAppWithRoutes,
  buildTestApp,
  captureLog,
  createFolder,
  DOWN,
  fetchUncompressed,
  poll,
  writeFiles,
} from '../helper.ts';

test('A log line has the time, the app and the message', async (t) => {
  const { logger, lines } = captureLog();
  logger.info({ answer: 42 }, 'Hello');
  t.match(lines, [
    { level: 30, time: Number, name: manifest.name, pid: process.pid, answer: 42, msg: 'Hello' },
  ]);
});

test('Added fields are in each log line until they are removed', async (t) => {
  const { logger, lines } = captureLog();
  let fields: object | undefined = { traceId: 'a' };
  const remove = addLogFields(() => fields);
  const removeOther = addLogFields(() => ({ region: 'eu' }));
  logger.info('within a trace');
  fields = undefined;
  logger.info('without');
  remove();
  fields = { traceId: 'b' };
  logger.info('removed');
  removeOther();
  logger.info('all removed');
  t.match(lines, [
    { traceId: 'a', region: 'eu', msg: 'within a trace' },
    { traceId: undefined, region: 'eu' },
    { traceId: undefined, region: 'eu' },
    { traceId: undefined, region: undefined },
  ]);
});

test('Two apps of one process may add the same fields', async (t) => {
  const { logger, lines } = captureLog();
  const read = () => ({ region: 'eu' });
  const [remove, removeOther] = [addLogFields(read), addLogFields(read)];
  remove();
  logger.info('one is left');
  removeOther();
  t.match(lines, [{ region: 'eu' }]);
});

test('Fields that hold secrets are not logged at any depth', async (t) => {
  const { logger, lines } = captureLog();
  const values = [
    'hunter2',
    'with "quotes": hunter2',
    'ends with \\',
    31415926,
    ['one hunter2', 'two] hunter2'],
  ];
  for (const name of [
    'authorization',
    'Cookie',
    'set-cookie',
    'password',
    'secret',
    'token',
    'args',
  ]) {
    for (const value of values) {
      logger.info({
        [name]: value,
        a: { list: [{ [name]: value, accept: '*/*' }], [name]: value },
        last: 1,
      });
    }
  }
  t.equal(lines.length, 35);
  t.notMatch(JSON.stringify(lines), /hunter2|31415926|ends with/);
  for (const line of lines) t.match(line, { a: { list: [{ accept: '*/*' }] }, last: 1 });
});

test('The user name and password of a URL are not logged, in any field', async (t) => {
  const { logger, lines } = captureLog();
  const urls = [
    'postgres://app:hunter2@db.example/app',
    'rediss://:hunter2@cache:6379',
    'https://hunter2@example.com/a',
  ];
  for (const url of urls) {
    logger.info(
      { url, nested: { deeply: [url] }, err: new Error(`no answer from ${url}`) },
      `Connecting to ${url}`,
    );
  }
  t.equal(lines.length, urls.length);
  t.notMatch(JSON.stringify(lines), /hunter2|app:/);
  t.match(lines, [
    { url: 'postgres://***@db.example/app', msg: 'Connecting to postgres://***@db.example/app' },
  ]);
});

test('A password that contains an @ is not logged', async (t) => {
  const { logger, lines } = captureLog();
  logger.info(
    'Connecting to postgres://app:pass@hunter2@db.example/app and mailto:anna@example.com',
  );
  t.equal(lines[0]?.msg, 'Connecting to postgres://***@db.example/app and mailto:anna@example.com');
});

test('A request is one log line, without its query and headers', async (t) => {
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, { DATABASE_URL: DOWN }, { logger });
  lines.length = 0;
  const headers = {
    authorization: 'Bearer hunter2',
    cookie: 'session=hunter2',
    'x-request-id': 'abc',
  };
  await app.inject({ method: 'GET', url: '/?token=hunter2', headers });
  await app.inject({ method: 'DELETE', url: '/nowhere?token=hunter2', headers });
  const line = {
    level: 30,
    requestId: 'abc',
    durationMs: Number,
    address: '127.0.0.1',
    msg: 'request',
  };
  t.match(lines, [
    { ...line, method: 'GET', path: '/', status: 200 },
    { ...line, method: 'DELETE', path: '/nowhere', status: 404 },
  ]);
  t.equal(lines.length, 2);
  t.notMatch(JSON.stringify(lines), 'hunter2');
});

test('A request that fails after its answer began is one log line, with the error', async (t) => {
  const folder = await createFolder(t);
  const route = `
    import { Readable } from 'node:stream';
    export default async (app) => app.get('/broken', (request, reply) => reply.send(new Readable({
      read() { this.destroy(new Error('the source broke')) },
    })));
  `;
  await writeFiles(folder, { 'index.js': route });
  const { logger, lines } = captureLog();
  const app = await buildTestApp(
    t,
    { DATABASE_URL: DOWN },
    { logger, routes: [pathToFileURL(`${folder}/`)] },
  );
  lines.length = 0;
  await app.inject('/broken').catch(() => undefined);
  t.match(lines, [{ level: 50, path: '/broken', err: { message: 'the source broke' } }]);
  t.equal(lines.length, 1);
});

test('A stream that breaks adds a log line with the error', async (t) => {
  const routes = `
    import { Readable } from 'node:stream';
    async function* breakOff() {
      yield 'half';
      throw new Error('broken');
    }
    export default async (app) => app.get('/broken', async () => Readable.from(breakOff()));
  `;
  const { app, lines } = await buildAppWithRoutes(t, routes);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  await t.rejects(fetchUncompressed(`${url}/broken`).then((answer) => answer.text()));
  await poll(() => lines.some(({ msg }) => msg === 'request'));
  t.match(
    lines.find(({ msg }) => msg === 'An answer was interrupted'),
    { level: 50, err: { message: 'broken' } },
  );
});

test('A client that leaves a stream is logged at info', async (t) => {
  const routes = `
    import { Readable } from 'node:stream';
    export default async (app) => app.get('/endless', async () => new Readable({
      read() { setImmediate(() => this.push('more')); },
    }));
  `;
  const { app, lines } = await buildAppWithRoutes(t, routes);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const leaving = new AbortController();
  await fetch(`${url}/endless`, { signal: leaving.signal });
  leaving.abort();
  await poll(() => lines.some(({ msg }) => msg === 'An answer was interrupted'));
  t.match(
    lines.find(({ msg }) => msg === 'An answer was interrupted'),
    { level: 30 },
  );
});

test('An OperatorError is logged without its stack', (t) => {
  const { logger, lines } = captureLog();
  logger.warn({ err: new OperatorError('Do this', { cause: new Error('that') }) }, 'It failed');
  t.match(lines, [
    { err: { type: 'OperatorError', message: 'Do this', cause: { stack: /that/ } } },
  ]);
  t.notMatch(lines, [{ err: { stack: String } }]);
  t.end();
});

test('What is logged as an error, and is none, keeps its safe fields', (t) => {
  const { logger, lines } = captureLog();
  const problems = [{ message: 'must be a text', params: { a: 'hunter2' } }, 'b'];
  for (const err of [problems, { message: 'm', code: 3, a: 'hunter2' }, { a: 1 }])
    logger.warn({ err }, 'A warning');
  const type = 'object';
  t.strictSame(
    lines.map(({ err }) => err),
    [
      [
        { type, message: 'must be a text' },
        { type: 'string', message: 'b' },
      ],
      { type, message: 'm', code: 3 },
      { type, message: '[object Object]' },
    ],
  );
  t.end();
});

test('A reason is a text or an error, without secrets', (t) => {
  const { logger, lines } = captureLog();
  const text = 'closed redis://u:hunter2@redis/0';
  for (const reason of [text, new Error(text)]) logger.warn({ reason }, 'A warning');
  const message = 'closed redis://***@redis/0';
  t.match(lines, [{ reason: message }, { reason: { type: 'Error', message } }]);
  t.end();
});

test('The path of a URL ends before its query', async (t) => {
  t.equal(readPath('/notes?a=1?b'), '/notes');
  t.equal(readPath('/notes'), '/notes');
  t.equal(readPath(''), '');
});

test("The client's address is that of the proxies, or else that of the peer", (t) => {
  const read = (ip: string, remoteAddress?: string) =>
    readAddress({ ip, socket: { remoteAddress } } as Parameters<typeof readAddress>[0]);
  t.equal(read('203.0.113.7', '10.1.2.3'), '203.0.113.7');
  t.equal(read('2001:db8::1', '10.1.2.3'), '2001:db8::1');
  t.equal(read('unknown', '10.1.2.3'), '10.1.2.3');
  t.equal(read('unknown', '::ffff:10.1.2.3'), '10.1.2.3', 'the form of a dual-stack socket');
  t.equal(read('unknown'), '', 'a closed connection has no address');
  t.end();
});

test('An upgraded connection is one log line with status 101', async (t) => {
  const { app, lines } = await buildAppWithRoutes(
    t,
    `import websocket from '${import.meta.resolve('../fixture/websocket.ts')}';
    export default async (app) => {
      await app.register(websocket);
      app.get('/socket', { websocket: true }, (socket) => socket.close());
      app.get('/taken', (request, reply) => {
        reply.hijack();
        reply.raw.destroy();
      });
    };`,
  );
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  await once(new WebSocket(`${url}/socket`), 'close');
  await poll(() => lines.some(({ path }) => path === '/socket'));
  await app.inject({ url: '/taken', headers: { upgrade: 'other' } }).catch(() => undefined);
  await poll(() => lines.filter(({ path }) => path).length === 2);
  t.match(
    lines.filter(({ path }) => path),
    [
      { path: '/socket', status: 101 },
      { path: '/taken', status: 499 },
    ],
  );
});

/** @fastify/express changes the meaning of `headersSent`, in this way. */
const REDEFINED = `
  import { setTimeout as sleep } from 'node:timers/promises';
  export default async (app) => {
    app.addHook('onRequest', async (request, reply) => {
      Object.defineProperty(reply.raw, 'headersSent', { get: () => false });
    });
    app.get('/answered', async () => 'answered');
    app.get('/open', async (request, reply) => {
      reply.hijack();
      reply.raw.writeHead(200).write('begun');
      await sleep(300);
      reply.raw.end(' and ended');
    });
  };
`;

test('A plugin may give headersSent another meaning', async (t) => {
  const environment = { REQUEST_TIMEOUT_MS: '100', SHUTDOWN_DELAY_MS: '0' };
  const { app, lines } = await buildAppWithRoutes(t, REDEFINED, environment);
  t.equal((await app.inject('/answered')).body, 'answered');
  t.match(lines, [{ path: '/answered', status: 200 }]);
  const listener = openHttpListener(app);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const answer = await fetch(`${url}/open`);
  listener.announceClose();
  t.equal(await answer.text(), 'begun and ended');
  await listener.close();
  t.match(
    lines.find(({ path }) => path === '/open'),
    { level: 30, status: 200 },
  );
});
