import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Test, test } from 'tap';
import { startCollector } from '../../fixture/collector.ts';
import { buildAppWithRoutes } from '../../helper.ts';
import { attach, CLIENT, closeAfterSpans } from './attach.ts';

const ROUTES = `
  import { Pool, request } from '${import.meta.resolve('undici')}';
  export default async (app) => {
    app.post('/proxied', async ({ body: { proxy, path } }) => {
      const pool = new Pool(proxy);
      await pool.connect({ path: 'a.example:443' }).catch(() => undefined);
      await (await pool.request({ method: 'GET', path })).body.dump();
      return {};
    });
    app.post('/calls', async ({ body: { url, how, by } }) => {
      const call = by === 'undici' ? request : fetch;
      const options = how === 'late' ? { signal: AbortSignal.timeout(200) } : {};
      if (how === 'unreadable') {
        const error = Object.defineProperty(new Error(), 'message', { get() { throw 'trap'; } });
        const stop = new AbortController();
        setTimeout(() => stop.abort(error), 200);
        options.signal = stop.signal;
      }
      const answer = await call(url, options).catch(() => undefined);
      const read = () => by === 'undici' ? answer.body.text() : answer.text();
      if (how === 'read') await read().catch(() => undefined);
      return {};
    });
  };`;

/** The called server's answers, by path. */
const ANSWERS: Record<string, RequestListener> = {
  '/whole': (_request, response) => response.end('whole'),
  '/large': (_request, response) => response.end(Buffer.alloc(1_000_000)),
  '/half': (request, response) => {
    response.writeHead(200, { 'content-length': '10' }).write('half');
    setTimeout(() => request.socket.destroy(), 50);
  },
  '/hints': (_request, response) => {
    response.writeEarlyHints({ link: '</a>; rel=preload' });
    response.writeHead(500).end();
  },
  '/moved': (_request, response) => response.writeHead(302, { location: '/whole' }).end(),
  '/cut': (request) => request.socket.destroy(),
  '/silent': () => undefined,
};

async function startServer(t: Test): Promise<string> {
  const server = createServer((request, response) => {
    ANSWERS[new URL(request.url as string, 'http://a').pathname]?.(request, response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Call {
  path: string;
  /** `late` and `unreadable` abort the call, `unread` does not read the answer's body. */
  how: 'read' | 'unread' | 'late' | 'unreadable';
  /** The path and the status or error of each span. */
  spans: [string, string][];
  /** The same for undici's request(), which follows no redirect, if it differs. */
  undici?: [string, string][];
}

const CALLS: Call[] = [
  { path: '/whole?token=hunter2', how: 'read', spans: [['/whole', '200']] },
  { path: '//a.example/whole', how: 'read', spans: [['//a.example/whole', '200']] },
  { path: '/large', how: 'unread', spans: [['/large', '200']] },
  { path: '/half', how: 'read', spans: [['/half', '200']] },
  { path: '/hints', how: 'read', spans: [['/hints', '500']] },
  {
    path: '/moved',
    how: 'read',
    spans: [
      ['/moved', '302'],
      ['/whole', '200'],
    ],
    undici: [['/moved', '302']],
  },
  { path: '/cut', how: 'read', spans: [['/cut', 'UND_ERR_SOCKET']] },
  { path: '/silent', how: 'late', spans: [['/silent', 'TimeoutError']] },
  { path: '/silent', how: 'unreadable', spans: [['/silent', 'Error']] },
];

test('POST /calls: each outgoing call has one span that ends', async (t) => {
  const collector = await startCollector(t);
  const { app } = await buildAppWithRoutes(t, ROUTES, attach(collector));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const server = await startServer(t);
  for (const { path, how } of CALLS)
    for (const by of ['fetch', 'undici'])
      await fetch(`${url}/calls`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ url: server + path, how, by }),
      });

  const expected = CALLS.flatMap(({ spans, undici = spans }) => [...spans, ...undici]);
  const spans = await closeAfterSpans(app, collector, expected.length, CLIENT);
  t.strictSame(
    spans.map(({ attributes }) => [
      String(attributes['url.full']).replace(server, ''),
      String(attributes['http.response.status_code'] ?? attributes['error.type']),
    ]),
    expected,
  );
  for (const { attributes, status } of spans) {
    t.equal(status.code === 2, attributes['error.type'] !== undefined);
    t.match(attributes, { 'server.address': '127.0.0.1', 'server.port': Number });
  }
});

test('A call through a proxy has the URL of its target, and CONNECT has no span', async (t) => {
  const collector = await startCollector(t);
  const { app } = await buildAppWithRoutes(t, ROUTES, attach(collector));
  const payload = {
    proxy: await startServer(t),
    path: 'http://ann:hunter2@a.example:81/whole?token=hunter2',
  };
  t.equal((await app.inject({ method: 'POST', url: '/proxied', payload })).statusCode, 200);
  const spans = await closeAfterSpans(app, collector, 1, CLIENT);
  t.match(spans, [
    {
      attributes: {
        'url.full': 'http://a.example:81/whole',
        'server.address': 'a.example',
        'server.port': 81,
      },
    },
  ]);
  t.equal(spans.length, 1);
});
