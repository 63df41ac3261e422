import { type Test, test } from 'tap';
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
