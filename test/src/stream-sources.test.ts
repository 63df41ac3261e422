import { once } from 'node:events';
import { Agent, createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { type Test, test } from 'tap';
import { openHttpListener } from '../../src/listener.ts';
import { buildAppWithRoutes, poll } from '../helper.ts';

const ROUTES = `
  import { Readable } from 'node:stream';
  import { setTimeout as sleep } from 'node:timers/promises';

  export default async (app) => {
    const url = '/:status/:kind';
    // @fastify/compress, if an app has it, sends a Response that was read before as an empty one.
    const options = { compress: false, config: { timeout: false } };
    app.get(url, options, async ({ params, log }, reply) => {
      const release = () => log.info('released');
      reply.header('x-kind', params.kind).code(Number(params.status));
      if (params.kind === 'node') return Readable.from(writeForever(release));
      if (params.kind === 'web') return createWebStream(release);
      const headers = [['x-kind', 'response'], ['set-cookie', 'a=1'], ['set-cookie', 'b=2']];
      headers.push(['content-encoding', 'identity']);
      if (params.kind === 'empty') return new Response(null, { status: 201, headers });
      const response = new Response(createWebStream(release), { status: 201, headers });
      if (params.kind === 'used') response.body.cancel();
      if (params.kind === 'used') await response.text().catch(() => undefined);
      return response;
    });
  };

  async function* writeForever(release) {
    try {
      for (;;) {
        yield 'on';
        await sleep(5);
      }
    } finally {
      release();
    }
  }

  function createWebStream(cancel) {
    return new ReadableStream({ pull: async (stream) => {
      await sleep(5);
      stream.enqueue('on');
    }, cancel });
  }
`;

async function listen(t: Test) {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { lines, url };
}

for (const kind of ['node', 'web', 'response'])
  test(`The source of a stream ends with its answer: ${kind}`, async (t) => {
    const { lines, url } = await listen(t);
    const path = `${url}/200/${kind}`;
    const head = await fetch(path, { method: 'HEAD' });
    t.equal(head.status, kind === 'response' ? 201 : 200);
    t.equal(head.headers.get('x-kind'), kind);
    await poll(() => lines.filter(({ msg }) => msg === 'released').length === 1);
    const leaving = new AbortController();
    await fetch(path, { signal: leaving.signal });
    leaving.abort();
    await poll(() => lines.filter(({ msg }) => msg === 'released').length === 2);
  });

for (const kind of ['node', 'web'])
  test(`A status without a body ends the source: ${kind}`, async (t) => {
    const { lines, url } = await listen(t);
    t.equal((await fetch(`${url}/204/${kind}`)).status, 204);
    await poll(() => lines.some(({ msg }) => msg === 'released'));
  });

for (const method of ['HEAD', 'GET'])
  test(`${method} of a Response has its status and headers`, async (t) => {
    const { url } = await listen(t);
    const { status, headers } = await fetch(`${url}/200/empty`, { method });
    t.equal(status, 201);
    t.equal(headers.get('x-kind'), 'response');
    // A plugin may add cookies.
    const own = headers.getSetCookie().filter((cookie) => /^[ab]=/.test(cookie));
    t.strictSame(own, ['a=1', 'b=2']);
    t.equal((await fetch(`${url}/200/used`, { method })).status, 500);
  });

test('An answer of fetch is passed on without what belongs to its own connection', async (t) => {
  const body = 'hello '.repeat(100);
  const zipped = gzipSync(body);
  const upstream = createServer((_request, response) => {
    const encoding = { 'content-encoding': 'gzip', 'content-length': zipped.length };
    response.writeHead(201, { ...encoding, connection: 'keep-alive', 'x-kind': 'fetched' });
    response.end(zipped);
  });
  await once(upstream.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => upstream.close().closeAllConnections());
  const { port } = upstream.address() as AddressInfo;
  const code = `export default async (app) =>
    app.get('/', { compress: false }, async () => fetch('http://127.0.0.1:${port}/'));`;
  const { app } = await buildAppWithRoutes(t, code.replace("'/'", "'/fetched'"));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const { status, headers, text } = await ask(`${url}/fetched`);
  t.strictSame({ status, text }, { status: 201, text: body });
  t.match(headers, { 'x-kind': 'fetched', 'content-encoding': undefined });
});

test('A proxied answer ends its connection while the process drains', async (t) => {
  const code = `
    import { Readable } from 'node:stream';
    export default async (app) => {
      for (const [url, payload] of [['/stream', () => Readable.from(['on'])], ['/text', () => 'on']])
        app.get(url, async (_request, reply) =>
          reply.header('connection', 'Keep-Alive').send(payload()));
    };`;
  const { app } = await buildAppWithRoutes(t, code);
  const listener = openHttpListener(app);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  listener.announceClose();
  for (const path of ['/stream', '/text'])
    t.match((await ask(url + path)).headers, { connection: 'close' }, path);
});

/** fetch() does not show the Connection header. */
async function ask(url: string) {
  const agent = new Agent({ keepAlive: true });
  const [answer] = await once(get(url, { agent }), 'response');
  const body = await text(answer);
  agent.destroy();
  return { status: answer.statusCode, headers: answer.headers, text: body };
}
