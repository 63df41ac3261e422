import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Test, test } from 'tap';
import { startCollector } from '../../fixture/collector.ts';
import { buildAppWithRoutes } from '../../helper.ts';
import { attach, CLIENT, closeAfterSpans } from './attach.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = `00-${TRACE}-b7ad6b7169203331-01`;

/** A handler that passes its caller's headers on. */
const ROUTES = `
  import { request } from '${import.meta.resolve('undici')}';
  export default async (app) => {
    app.post('/calls', async ({ body: { url, by, more }, headers }) => {
      const { 'content-type': type, 'content-length': length, ...others } = headers;
      await (by === 'undici' ? request : fetch)(url, { headers: { ...others, ...more } });
      return {};
    });
  };`;

/** Starts a server that keeps the trace headers of each request as they came. */
async function startServer(t: Test) {
  const received: [string, string][][] = [];
  const server = createServer(({ rawHeaders }, response) => {
    const pairs = rawHeaders.flatMap((name, index): [string, string][] =>
      index % 2 ? [] : [[name.toLowerCase(), rawHeaders[index + 1] as string]],
    );
    received.push(pairs.filter(([name]) => /^(traceparent|tracestate|baggage)$/.test(name)));
    response.end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close().closeAllConnections());
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

interface Case {
  headers: Record<string, string>;
  /** Headers that the handler adds itself. */
  more?: Record<string, string | string[]>;
  /** What the called server gets beside traceparent. */
  expected: [string, string][];
}

const CASES: Case[] = [
  { headers: { traceparent: PARENT }, expected: [] },
  {
    headers: { traceparent: PARENT, tracestate: 'a=1', baggage: 'b=2' },
    expected: [
      ['tracestate', 'a=1'],
      ['baggage', 'b=2'],
    ],
  },
  { headers: { traceparent: 'bad', tracestate: 'a=1', baggage: '=' }, expected: [] },
  { headers: {}, more: { TraceParent: PARENT, Tracestate: 'a=1' }, expected: [] },
  {
    headers: { baggage: 'b=2' },
    more: { baggage: ['c=3', 'd=4'] },
    expected: [['baggage', 'b=2']],
  },
];

test('POST /calls: a passed-on trace header is replaced by the own one', async (t) => {
  const collector = await startCollector(t);
  const { app } = await buildAppWithRoutes(t, ROUTES, attach(collector));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const server = await startServer(t);
  for (const { headers, more } of CASES)
    for (const by of ['fetch', 'undici'])
      await fetch(`${url}/calls`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({ url: server.url, by, more }),
      });

  const spans = await closeAfterSpans(app, collector, CASES.length * 2, CLIENT);
  t.equal(spans.length, CASES.length * 2);
  t.strictSame(
    server.received,
    CASES.flatMap(({ expected }) => [expected, expected]).map((expected, index) => {
      const { traceId, spanId } = spans[index] ?? {};
      return [['traceparent', `00-${traceId}-${spanId}-01`], ...expected];
    }),
  );
});

test('POST /calls: without propagators, the headers are passed on as they are', async (t) => {
  const collector = await startCollector(t);
  const environment = { ...attach(collector), OTEL_PROPAGATORS: 'none' };
  const { app } = await buildAppWithRoutes(t, ROUTES, environment);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const server = await startServer(t);
  await fetch(`${url}/calls`, {
    method: 'POST',
    headers: { traceparent: PARENT, 'content-type': 'application/json' },
    body: JSON.stringify({ url: server.url }),
  });
  await app.close();
  t.strictSame(server.received, [[['traceparent', PARENT]]]);
});
