import { existsSync, readdirSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { type Test, test } from 'tap';
import { rush } from '../fixture/rush.ts';
import {
  buildTestApp,
  captureLog,
  createFolder,
  DOWN,
  exportFrom,
  type LogLine,
  poll,
  ROOT,
  writeFiles,
  writeRoutes,
} from '../helper.ts';

const ORIGIN = 'https://example.com';

/** Routes that answer in different ways. */
const ROUTES = `
  import { Readable } from 'node:stream';
  import createError from '${import.meta.resolve('@fastify/error')}';
  const Taken = createError('TAKEN', 'Taken.', 409);
  export default async (app) => {
    app.get('/nothing', async (request, reply) => reply.code(204).send());
    app.get('/redirect', async (request, reply) => reply.redirect('/'));
    app.get('/stream', async () => Readable.from(['a', 'b']));
    app.get('/broken-stream', async () => new Readable({
      read() { this.destroy(new Error('hunter2')) },
    }));
    app.get('/hijacked', (request, reply) => {
      reply.hijack();
      reply.raw.writeHead(200, reply.getHeaders()).end('hijacked');
    });
    app.get('/late', () => new Promise(() => {}));
    app.get('/taken', async () => { throw new Taken() });
    app.get('/bug', async () => { throw new Error('hunter2') });
    app.get('/varied', async (request, reply) =>
      reply.header('vary', reply.getHeader('vary') ?? 'a').send('a'));
    const schema = { body: { type: 'object', required: ['a'] } };
    app.post('/items', { schema }, async ({ body }) => body);
  };
`;

/** The bytes of a request with Connection: close. */
function ask(line: string, headers: string[] = [], body = ''): string {
  const fields = ['Host: a', 'Connection: close', `Origin: ${ORIGIN}`, ...headers];
  return `${line} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n${body}`;
}

const JSON_TYPE = 'Content-Type: application/json';
const post = (body: string, type = JSON_TYPE) =>
  ask('POST /items', [type, `Content-Length: ${body.length}`], body);

/** The requests, and the status of each answer. */
const ANSWERS: Record<string, [number, string]> = {
  JSON: [200, ask('GET /')],
  'a page': [200, ask('GET /', ['Accept: text/html'])],
  HEAD: [200, ask('HEAD /')],
  nothing: [204, ask('GET /nothing')],
  'a redirect': [302, ask('GET /redirect')],
  'a stream': [200, ask('GET /stream')],
  'a hijacked answer': [200, ask('GET /hijacked')],
  'HTTP/1.0': [200, 'GET / HTTP/1.0\r\n\r\n'],
  'a preflight': [204, ask('OPTIONS /items', ['Access-Control-Request-Method: POST'])],
  'a preflight whose path cannot be read': [
    400,
    ask('OPTIONS /notes/%zz', ['Access-Control-Request-Method: POST']),
  ],
  'OPTIONS *': [405, ask('OPTIONS *')],
  'a body that does not fit its schema': [400, post('{}')],
  'malformed JSON': [400, post('{')],
  'a path that cannot be read': [400, ask('GET /notes/%zz?token=hunter2')],
  'a URL without a host': [400, ask('GET http:///notes?token=hunter2')],
  'an invalid URL': [400, ask('GET http://[::1')],
  'a URL with a fragment': [400, ask('GET http://a/#/notes')],
  'a tunnel': [400, ask('CONNECT a:443')],
  'no host': [400, 'GET / HTTP/1.1\r\nConnection: close\r\n\r\n'],
  'two hosts': [400, ask('GET /', ['Host: b'])],
  'an invalid host': [400, ask('GET /').replace('Host: a', 'Host: a b')],
  'another method than OPTIONS for *': [400, ask('GET *')],
  'an unknown transfer coding': [
    400,
    ask('POST /items', [JSON_TYPE, 'Transfer-Encoding: gzip, chunked'], '0\r\n\r\n'),
  ],
  'a method of RTSP': [400, 'SETUP / RTSP/1.0\r\nHost: a\r\nConnection: close\r\n\r\n'],
  'HTTP/2.0 in the first line': [400, 'GET / HTTP/2.0\r\nHost: a\r\nConnection: close\r\n\r\n'],
  'malformed HTTP': [400, 'hello\r\n\r\n'],
  'nonsense in a body': [
    400,
    ask('POST /items', [JSON_TYPE, 'Transfer-Encoding: chunked'], 'nonsense\r\n'),
  ],
  'an unknown path': [404, ask('GET /nowhere?token=hunter2')],
  'another method': [405, ask('PUT /bug')],
  'a method that no route has': [405, ask('PROPFIND /bug')],
  'a body that does not end': [408, ask('POST /items', [JSON_TYPE, 'Content-Length: 100'], '{')],
  'an error of the route': [409, ask('GET /taken')],
  'a body over the limit': [413, ask('POST /items', [JSON_TYPE, 'Content-Length: 2000000'])],
  'chunk extensions over the limit': [
    413,
    ask('POST /items', [JSON_TYPE, 'Transfer-Encoding: chunked'], `1;${'x'.repeat(20_000)}\r\n`),
  ],
  'a long part of a path': [414, ask(`GET /notes/${'x'.repeat(2_000)}`)],
  'an unsupported content type': [415, post('a', 'Content-Type: text/plain')],
  'a body that is compressed': [
    415,
    ask('POST /items', [JSON_TYPE, 'Content-Encoding: compress', 'Content-Length: 2'], '{}'),
  ],
  'an unknown expectation': [417, ask('GET /', ['Expect: a-miracle'])],
  'a transfer coding in HTTP/1.0': [
    400,
    ask('POST /items', [JSON_TYPE, 'Transfer-Encoding: chunked'], '0\r\n\r\n').replace(
      '1.1',
      '1.0',
    ),
  ],
  'more header fields than the limit': [431, ask('GET /', ['X: y'.concat('\r\nX: y'.repeat(97))])],
  'headers over the limit': [431, ask('GET /', [`X-Long: ${'x'.repeat(20_000)}`])],
  'a bug': [500, ask('GET /bug')],
  'a stream that breaks before its first byte': [500, ask('GET /broken-stream')],
  'a late handler': [503, ask('GET /late')],
};

/** Requests to routes that may have been removed, by their folder. */
const OPTIONAL: [string, string, string][] = [
  ['notes', 'a database that is down', 'GET /notes'],
  ['me', 'a protected route without an issuer', 'GET /me'],
];

for (const [folder, name, line] of OPTIONAL)
  if (existsSync(path.join(ROOT, 'routes', folder))) ANSWERS[name] = [503, ask(line)];

/** Requests that the parser refuses, so that their path and origin are unknown. */
const UNREADABLE = [
  'malformed HTTP',
  'headers over the limit',
  'more header fields than the limit',
  'a tunnel',
];

/** The config is read without plugins/env. Your own plugins are left out: they may need others. */
const TEMPLATE =
  'auth backing-app cors database docs errors jobs overload rate-limit readiness redis ' +
  'request-id security telemetry validation';

const ENTRIES = readdirSync(path.join(ROOT, 'plugins')).filter((entry) =>
  TEMPLATE.split(' ').includes(path.parse(entry).name),
);

const PLUGINS = ENTRIES.map((entry) => path.parse(entry).name);

/** Plugins that the app or other files need: a protected route is never open. */
const NEEDED = ['errors', 'validation', 'request-id', 'readiness', 'database', 'redis', 'auth'];

const REMOVABLE = PLUGINS.filter((name) => !NEEDED.includes(name));

/** Plugins that add headers and were removed. */
const GONE = ['security', 'cors', 'rate-limit'].filter((name) => !PLUGINS.includes(name));

/** The number of apps. One per plugin would take longer. */
const APPS = 3;

const SECURITY = [
  'content-security-policy',
  'cross-origin-resource-policy',
  'referrer-policy',
  'x-content-type-options',
];

test('contract 30: Each answer has the common headers, log line and error shape', (t) =>
  checkAnswers(t, GONE));

for (let app = 0; app < APPS; app += 1) {
  const removed = REMOVABLE.filter((_, index) => index % APPS === app).concat(GONE);
  test(`Without ${removed.join(', ')}, each answer has the remaining headers`, (t) =>
    checkAnswers(t, removed));
}

test('A 429 for the rate limit has the common headers, log line and shape', async (t) => {
  if (GONE.includes('rate-limit')) return void t.pass('rate-limit was removed', { skip: true });
  const { app, lines } = await startApp(t, GONE, { RATE_LIMIT_MAX: '1' });
  await exchange(app, ask('GET /'));
  checkAnswer(t, 429, await exchange(app, ask('GET /')), lines);
});

test('A 429 closes the connection of a request that would be refused', async (t) => {
  if (GONE.includes('rate-limit')) return void t.pass('rate-limit was removed', { skip: true });
  const { app } = await startApp(t, GONE, { RATE_LIMIT_MAX: '1' });
  await exchange(app, ask('GET /'));
  const requests = {
    'an Upgrade that is ignored': 'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\nGET / ',
    'two hosts': 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    'an unknown transfer coding':
      'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  };
  for (const [name, bytes] of Object.entries(requests)) {
    const { status, headers } = await exchange(app, bytes);
    t.match({ status, connection: headers.connection }, { status: 429, connection: 'close' }, name);
  }
});

test('A 508 for a loop has the common headers, log line and shape', async (t) => {
  if (!PLUGINS.includes('backing-app'))
    return void t.pass('backing-app was removed', { skip: true });
  const { app, lines } = await startApp(t, GONE, { BACKING_APP_URL: 'http://127.0.0.1:1' });
  const via = `Via: 1.1 ${Reflect.get(Reflect.get(app, 'backingApp'), 'pseudonym')}`;
  checkAnswer(t, 508, await exchange(app, ask('GET /', [via])), lines);
});

test('A 503 for overload has the common headers, log line and shape', async (t) => {
  if (!PLUGINS.includes('overload')) return void t.pass('overload was removed', { skip: true });
  const { app, lines } = await startApp(t, GONE, { RATE_LIMIT_MAX: '0' });
  t.equal((await app.inject({ method: 'POST', url: '/overload' })).statusCode, 200);
  let answer: Answer | undefined;
  await poll(async () => {
    if ((await rush(app)).statusCode === 503) answer = await exchange(app, ask('GET /nowhere'));
    return answer?.status === 503;
  });
  await app.inject({ method: 'DELETE', url: '/overload' });
  checkAnswer(t, 503, answer as Answer, lines);
});

test('A 408 for endless headers has the common headers, log line and shape', async (t) => {
  const { app, lines } = await startApp(t, GONE);
  // Node checks this every 5 s, set in src/server-options.ts.
  app.server.headersTimeout = 100;
  checkAnswer(t, 408, await exchange(app, 'GET / HTTP/1.1\r\n'), lines);
});

function checkAnswer(t: Test, status: number, answer: Answer, lines: LogLine[]): void {
  const name = status === 408 ? 'malformed HTTP' : '';
  t.equal(answer.status, status);
  checkHeaders(t, name, answer, GONE);
  checkError(t, answer);
  checkLog(t, name, answer, lines);
}

async function checkAnswers(t: Test, removed: string[]): Promise<void> {
  const { app, lines } = await startApp(t, removed);
  const before = await countLeft(app);
  const rows = Object.entries(ANSWERS);
  const answers = await Promise.all(rows.map(([, [, bytes]]) => exchange(app, bytes)));
  for (const [index, [name, [status]]] of rows.entries()) {
    const answer = answers[index]!;
    await t.test(name, async (t) => {
      const isPreflight = name === 'a preflight' && removed.includes('cors');
      t.equal(answer.status, isPreflight ? 405 : status);
      checkHeaders(t, name, answer, removed);
      if (answer.status >= 400) checkError(t, answer);
      checkLog(t, name, answer, lines);
    });
  }
  if (removed.includes('rate-limit')) return;
  t.equal(before - (await countLeft(app)), rows.length + 1, 'each request is counted');
}

async function countLeft(app: FastifyInstance): Promise<number> {
  return Number((await exchange(app, ask('GET /'))).headers['ratelimit-remaining']);
}

function checkHeaders(t: Test, name: string, { headers }: Answer, removed: string[]): void {
  t.match(headers['x-request-id'], /^[\w-]{36}$/);
  if (!removed.includes('security')) for (const header of SECURITY) t.ok(headers[header], header);
  if (removed.includes('cors')) return;
  t.match(headers.vary, 'origin');
  if (name in ANSWERS && ANSWERS[name]![1].includes(ORIGIN) && !UNREADABLE.includes(name))
    t.equal(headers['access-control-allow-origin'], ORIGIN);
}

function checkError(t: Test, { status, headers, body }: Answer): void {
  t.match(headers['content-type'], /^application\/json/);
  t.match(JSON.parse(body), { statusCode: status, code: String, error: String, message: String });
  t.notMatch(body, 'hunter2');
}

function checkLog(t: Test, name: string, { status, headers }: Answer, lines: LogLine[]): void {
  const own = lines.filter(({ requestId }) => requestId === headers['x-request-id']);
  t.equal(own.length, 1, 'one line');
  const where = UNREADABLE.includes(name)
    ? { method: null, path: null }
    : { method: String, path: String };
  t.match(own[0], {
    requestId: headers['x-request-id'],
    status,
    durationMs: Number,
    address: '127.0.0.1',
    ...where,
  });
  t.notMatch(JSON.stringify({ ...own[0], err: undefined }), 'hunter2');
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

async function exchange(app: FastifyInstance, bytes: string): Promise<Answer> {
  return readAnswer(await send(app, bytes));
}

/** @returns all received data when the connection ends */
async function send(app: FastifyInstance, bytes: string): Promise<string> {
  const { port } = app.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  socket.write(bytes);
  return text(socket);
}

function readAnswer(received: string): Answer {
  const end = received.indexOf('\r\n\r\n');
  const [line = '', ...fields] = received.slice(0, end).split('\r\n');
  const pairs = fields.map((field) => field.split(/: (.*)/s));
  const headers = Object.fromEntries(
    pairs.map(([name = '', value = '']) => [name.toLowerCase(), value]),
  );
  return { status: Number(line.split(' ')[1]), headers, body: received.slice(end + 4) };
}

/** Starts the app without some of its plugins. */
async function startApp(
  t: Test,
  removed: string[],
  environment: Record<string, string> = {},
): Promise<{ app: FastifyInstance; lines: LogLine[] }> {
  const { logger, lines } = captureLog();
  const routes = await writeRoutes(
    t,
    ROUTES,
    OPTIONAL.map(([name]) => name),
  );
  const app = await buildTestApp(
    t,
    {
      DATABASE_URL: DOWN,
      CORS_ORIGIN: ORIGIN,
      RATE_LIMIT_MAX: '1000',
      // Shorter than the test's time-out, and long enough for a busy machine.
      REQUEST_TIMEOUT_MS: '2000',
      ...environment,
    },
    {
      logger,
      routes: [new URL('../fixture/routes/', import.meta.url), routes],
      ...(removed.length > 0 && { plugins: [await linkPlugins(t, removed)] }),
    },
  );
  await app.listen({ host: '127.0.0.1', port: 0 });
  if (PLUGINS.includes('database'))
    await poll(() => lines.some(({ msg }) => msg === 'The database is not ready'));
  return { app, lines };
}

/** Writes a folder with a file for each other plugin, which re-exports it. */
async function linkPlugins(t: Test, removed: string[]): Promise<URL> {
  const folder = await createFolder(t);
  for (const entry of ENTRIES) {
    const { name, ext } = path.parse(entry);
    const file = path.join(ROOT, 'plugins', ext ? entry : `${entry}/index.ts`);
    if (!removed.includes(name)) await writeFiles(folder, { [`${name}.js`]: exportFrom(file) });
  }
  return pathToFileURL(`${folder}/`);
}
