import { type AddressInfo, connect } from 'node:net';
import { pathToFileURL } from 'node:url';
import { test } from 'tap';
import { startCollector } from '../../fixture/collector.ts';
import {
  buildAppWithRoutes,
  buildTestApp,
  captureLog,
  createFolder,
  DOWN,
  poll,
  writeFiles,
} from '../../helper.ts';
import { attach, closeAfterSpans } from './attach.ts';

const ROUTES = `
  import { Readable } from 'node:stream';
  import websocket from '${import.meta.resolve('../../fixture/websocket.ts')}';
  export default async (app) => {
    await app.register(websocket);
    app.get('/ok/:id', async ({ log }) => log.info('handled'));
    app.post('/body', { bodyLimit: 100 }, async ({ log }) => log.info('handled'));
    app.get('/text', async () => { throw 'text'; });
    app.get('/secret', async () => {
      throw new Error('postgres://a:hunter2@b password=hunter2 https://a/?token=hunter2');
    });
    app.get('/odd', async () => { throw Object.assign(new Error(), { message: {}, stack: 1 }); });
    async function* breakOff(log, error) {
      yield 'a';
      log.info('handled');
      throw error;
    }
    const sendBroken = (url, error) =>
      app.get(url, ({ log }, reply) => reply.send(Readable.from(breakOff(log, error))));
    sendBroken('/broken', new RangeError('broken'));
    const trap = { get() { throw new Error('hunter2') } };
    sendBroken('/unreadable', Object.defineProperty(new RangeError(), 'code', trap));
    app.get('/socket', { websocket: true }, (socket, { log }) =>
      socket.on('message', () => { log.info('handled'); socket.terminate(); }));
  };`;

const UPGRADE =
  'GET /socket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
  'sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==';

const body = (text: string, type = 'application/json') =>
  `POST /body HTTP/1.1\r\nhost: a\r\ncontent-type: ${type}\r\n` +
  `content-length: ${text.length}\r\n\r\n${text}`;

/** A request, its status, its span's name, and further attributes. */
const REQUESTS: [string, number, string, Record<string, unknown>?][] = [
  [
    'GET /ok/1?token=hunter2 HTTP/1.1\r\nhost: example.com:8080\r\nuser-agent: curl/8',
    200,
    'GET /ok/:id',
    {
      'http.request.method': 'GET',
      'http.route': '/ok/:id',
      'url.path': '/ok/1',
      'url.scheme': 'http',
      'server.address': 'example.com',
      'server.port': 8080,
      'client.address': '127.0.0.1',
      'network.protocol.version': '1.1',
      'user_agent.original': 'curl/8',
    },
  ],
  ['GET /ok/1 HTTP/1.0', 200, 'GET /ok/:id', { 'network.protocol.version': '1.0' }],
  [
    'GET /ok/1 HTTP/1.1\r\nhost: [::1]\r\nx-forwarded-proto: https\r\nx-forwarded-for: 9.9.9.9',
    200,
    'GET /ok/:id',
    {
      'server.address': '::1',
      'server.port': 443,
      'url.scheme': 'https',
      'client.address': '9.9.9.9',
    },
  ],
  [
    'GET /ok/1 HTTP/1.1\r\nhost: a\r\nx-forwarded-proto: gopher',
    200,
    'GET /ok/:id',
    { 'url.scheme': 'http' },
  ],
  ['GET http://u:hunter2@a/ok/1 HTTP/1.1\r\nhost: a', 200, 'GET /ok/:id', { 'url.path': '/ok/1' }],
  [
    'GET /reset;token=hunter2 HTTP/1.1\r\nhost: a\r\nuser-agent: x (password=hunter2)',
    404,
    'GET',
    { 'url.path': '/reset;token=***', 'user_agent.original': 'x (password=***' },
  ],
  ['GET /nowhere HTTP/1.1\r\nhost: a', 404, 'GET', { 'http.route': undefined }],
  ['DELETE /ok/1 HTTP/1.1\r\nhost: a', 405, 'DELETE', { 'http.route': undefined }],
  [
    'PROPFIND /ok/1 HTTP/1.1\r\nhost: a',
    405,
    'HTTP',
    { 'http.request.method': '_OTHER', 'http.request.method_original': 'PROPFIND' },
  ],
  ['QUERY /ok/1 HTTP/1.1\r\nhost: a', 400, 'QUERY', { 'http.request.method': 'QUERY' }],
  [
    'GET /%zz HTTP/1.1\r\nhost: a',
    400,
    'GET',
    { 'http.route': undefined, 'url.path': '/%zz', 'error.type': undefined },
  ],
  [`GET /${'a'.repeat(600)} HTTP/1.1\r\nhost: a`, 414, 'GET', { 'http.route': undefined }],
  ['GET /ok/1 HTTP/1.1\r\nhost: a\r\nhost: b', 400, 'GET /ok/:id'],
  [body('{'), 400, 'POST /body'],
  [body('x'.repeat(101)), 413, 'POST /body'],
  [body('x', 'text/x'), 415, 'POST /body'],
  [body('{}'), 200, 'POST /body'],
  ['GET /text HTTP/1.1\r\nhost: a', 500, 'GET /text', { 'error.type': 'Error' }],
  ['GET /secret HTTP/1.1\r\nhost: a', 500, 'GET /secret', { 'error.type': 'Error' }],
  ['GET /odd HTTP/1.1\r\nhost: a', 500, 'GET /odd', { 'error.type': 'Error' }],
  ['GET /broken HTTP/1.1\r\nhost: a', 200, 'GET /broken', { 'error.type': 'RangeError' }],
  ['GET /unreadable HTTP/1.1\r\nhost: a', 200, 'GET /unreadable', { 'error.type': 'Error' }],
  [`${UPGRADE}\r\n\r\n\x81\x81\x00\x00\x00\x00x`, 101, 'GET /socket', { 'error.type': undefined }],
];

test('Each request has a span, whose ids are in its log lines', async (t) => {
  const collector = await startCollector(t);
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, attach(collector));
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const ofRequests: (typeof lines)[] = [];
  for (const [text] of REQUESTS) {
    const from = lines.length;
    const socket = connect(port, '127.0.0.1')
      .on('error', () => undefined)
      .resume();
    socket.write(Buffer.from(text.includes('\r\n\r\n') ? text : `${text}\r\n\r\n`, 'latin1'));
    await poll(() => lines.slice(from).some(({ msg }) => msg.startsWith('request')));
    socket.destroy();
    ofRequests.push(lines.slice(from).filter(({ requestId }) => requestId));
  }

  const spans = await closeAfterSpans(app, collector, REQUESTS.length);
  t.equal(spans.length, REQUESTS.length, 'and none of the collector in this process');
  for (const [index, [text, status, name, expected]] of REQUESTS.entries()) {
    const title = text.slice(0, 60);
    const { spanId, traceId, ...span } = spans[index]!;
    t.equal(span.name, name, title);
    t.match(span.attributes, { 'http.response.status_code': status, ...expected }, title);
    t.equal(span.status.code, span.attributes['error.type'] === undefined ? 0 : 2, title);
    const ids = new Set(ofRequests[index]!.map((line) => `${line.traceId} ${line.spanId}`));
    t.strictSame([...ids], [`${traceId} ${spanId}`], title);
  }
  t.equal(lines.filter(({ msg }) => msg === 'handled').length, 9);
  t.notMatch(JSON.stringify([collector.spans, collector.metrics]), 'hunter2');
});

const OTHERS = `
  export default async (app) => {
    app.get('/quiet', { config: { telemetry: false } }, async () => 'quiet');
    app.get('/hung', ({ log }) => {
      log.info('hung');
      return new Promise(() => undefined);
    });
  };`;

test('A hook of a plugin that is loaded before all others has its request as parent', async (t) => {
  const collector = await startCollector(t);
  const folder = await createFolder(t);
  const hook = 'async (app) => app.addHook("onRequest", async ({ log }) => log.info("audited"))';
  const code = `export default Object.assign(${hook}, { [Symbol.for('skip-override')]: true });`;
  await writeFiles(folder, { 'audit.js': code });
  const { logger, lines } = captureLog();
  const plugins = [pathToFileURL(`${folder}/`), new URL('../../../plugins/', import.meta.url)];
  const app = await buildTestApp(
    t,
    { DATABASE_URL: DOWN, ...attach(collector) },
    { logger, plugins },
  );
  await app.inject('/');
  const [span] = await closeAfterSpans(app, collector, 1);
  t.match(
    lines.filter(({ msg }) => msg === 'audited'),
    [{ traceId: span?.traceId, spanId: span?.spanId }],
  );
});

test('A client that disconnects has a span; a route with telemetry: false has none', async (t) => {
  const collector = await startCollector(t);
  const { app, lines } = await buildAppWithRoutes(t, OTHERS, attach(collector));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  t.equal(await (await fetch(`${url}/quiet`)).text(), 'quiet');
  const client = new AbortController();
  const given = fetch(`${url}/hung`, { signal: client.signal });
  await poll(() => lines.some(({ msg }) => msg === 'hung'));
  client.abort();
  await t.rejects(given);
  await poll(() => lines.some(({ path }) => path === '/hung'));

  const spans = await closeAfterSpans(app, collector, 1);
  t.match(spans, [{ name: 'GET /hung', attributes: { 'error.type': 'client_closed_request' } }]);
  t.equal(spans.length, 1);
});

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = `00-${TRACE}-b7ad6b7169203331-01`;

/** Trace headers, and whether the trace continues. */
const HEADERS: [string, boolean][] = [
  [`traceparent: ${PARENT}`, true],
  [`traceparent: 01${PARENT.slice(2)}-later`, true],
  [`traceparent: ${PARENT.slice(0, -2)}ff`, true],
  [`traceparent: ${PARENT.toUpperCase()}`, false],
  [`traceparent: ff${PARENT.slice(2)}`, false],
  [`traceparent: 00-${'0'.repeat(32)}-b7ad6b7169203331-01`, false],
  [`traceparent: 00-${TRACE}-${'0'.repeat(16)}-01`, false],
  [`traceparent: ${PARENT}\r\ntraceparent: ${PARENT}`, false],
  ['traceparent: ', false],
  ['traceparent: \xff\xfe', false],
  [`traceparent: ${'a'.repeat(12_000)}`, false],
  [`traceparent: ${PARENT}\r\ntracestate: \xff=\xfe,,=,${'a'.repeat(8_000)}=1`, true],
  [`traceparent: ${PARENT}\r\nbaggage: ${'a=1,'.repeat(2_000)}`, true],
  ['baggage: %=%,__proto__=1,constructor=2,\xff=\xfe;\xfe', false],
  [`baggage: a=${'1'.repeat(12_000)}`, false],
  [`traceparent: ${'a'.repeat(64 * 1024)}`, false],
];

const CALLER = `
  export default async (app) => {
    app.get('/called', async ({ headers }) => ({ traceparent: null, ...headers }));
    app.get('/call', async ({ headers }) =>
      (await fetch(\`http://\${headers.host}/called\`)).json());
  };`;

test('Hostile trace headers change no answer and are limited to 12 KB', async (t) => {
  const collector = await startCollector(t);
  const { app } = await buildAppWithRoutes(t, CALLER, attach(collector));
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  for (const [headers, isContinued] of HEADERS) {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    const host = `host: 127.0.0.1:${port}`;
    const text = `GET /call HTTP/1.1\r\n${host}\r\n${headers}\r\nconnection: close\r\n\r\n`;
    socket.write(Buffer.from(text, 'latin1'));
    const chunks = await socket.toArray().catch(() => []);
    const answer = Buffer.concat(chunks).toString('latin1');
    const passed = /\{.*\}/.exec(answer)?.[0] ?? '';
    const title = headers.slice(0, 80);
    if (headers.length > 16_384) t.match(answer, /^HTTP\/1.1 431/, title);
    else {
      t.match(answer, /^HTTP\/1.1 200/, title);
      t.match(JSON.parse(passed).traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/, title);
      t.equal(passed.includes(TRACE), isContinued, title);
      t.ok(passed.length < 12_000, `${passed.length} bytes of ${title}`);
    }
  }
});
