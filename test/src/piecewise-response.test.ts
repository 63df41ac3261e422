import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Test, test } from 'tap';
import { PiecewiseResponse } from '../../src/piecewise-response.ts';
import { buildAppWithRoutes } from '../helper.ts';

const SMALL = 10_000;
const LARGE = 1_000_000;

const ROUTES = `
  import { createHash } from 'node:crypto';
  import { Readable } from 'node:stream';

  const changes = {
    hash: (payload, reply) =>
      void reply.header('etag', createHash('sha1').update(payload).digest('hex')),
    replace: (payload) => payload.replaceAll('a', 'b'),
    lengthen: (payload) => payload + 'b'.repeat(payload.length),
    stream: (payload) => Readable.from([payload, 'b']),
    trailer: (payload, reply) => void reply.trailer('x-end', async () => 'true'),
  };
  const onSend = async ({ query }, reply, payload) => changes[query.all]?.(payload, reply);
  const onSendOwn = async ({ query }, reply, payload) => changes[query.own]?.(payload, reply);
  const write = ({ query }) => 'a'.repeat(query.size);

  const plugin = async (app) => {
    app.addHook('onSend', onSend);
    app.get('/text', { onSend: onSendOwn }, async (request) => write(request));
    app.get('/bytes', { onSend: onSendOwn }, async (request) => Buffer.from(write(request)));
    app.register(async (inner) => {
      inner.get('/text', { onSend: onSendOwn }, async (request) => write(request));
      inner.setNotFoundHandler((request, reply) => reply.code(404).send(write(request)));
    }, { prefix: '/inner' });
    app.get('/error', { errorHandler: (error, request, reply) => reply.send(write(request)) },
      async () => { throw new Error() });
    app.get('/twice', (request, reply) => {
      reply.hijack();
      const text = write(request);
      reply.raw.writeHead(200, { 'content-length': text.length }).end(text);
      reply.raw.write('again');
      reply.raw.end('again');
    });
    app.get('/thrown', async (request, reply) => {
      reply.send(write(request));
      throw new Error('late');
    });
    app.get('/hijacked', async (request, reply) => {
      reply.hijack();
      reply.raw.end(write(request), 'latin1');
    });
  };
  plugin[Symbol.for('skip-override')] = true;
  export default plugin;
`;

async function listen(t: Test) {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, { RATE_LIMIT_MAX: '0' });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const ask = async (path: string) => {
    const [answer] = (await once(get(`${url}${path}`), 'response')) as [IncomingMessage];
    const { statusCode, headers, trailers } = answer;
    return { body: await text(answer), statusCode, headers, trailers };
  };
  return { ask, lines };
}

for (const path of ['/text', '/inner/text', '/inner/nowhere', '/error'])
  test(`onSend hooks see the whole answer of GET ${path}, and may change it`, async (t) => {
    const { ask } = await listen(t);
    const places = path.endsWith('/text') ? ['all', 'own'] : ['all'];
    for (const size of [SMALL, LARGE])
      for (const place of places) {
        const askFor = (change: string) => ask(`${path}?size=${size}&${place}=${change}`);
        const whole = 'a'.repeat(size);
        const hashed = await askFor('hash');
        t.equal(hashed.headers.etag, createHash('sha1').update(whole).digest('hex'));
        t.ok(hashed.body === whole);
        t.equal(hashed.headers['content-length'], `${size}`);
        t.ok((await askFor('replace')).body === 'b'.repeat(size));
        const longer = await askFor('lengthen');
        t.ok(longer.body === whole + 'b'.repeat(size));
        t.equal(longer.headers['content-length'], `${size * 2}`);
        const streamed = await askFor('stream');
        t.ok(streamed.body === `${whole}b`);
        t.equal(streamed.headers['content-length'], undefined);
        const trailed = await askFor('trailer');
        t.ok(trailed.body === whole);
        t.match(trailed, {
          headers: { 'transfer-encoding': 'chunked' },
          trailers: { 'x-end': 'true' },
        });
        t.equal(trailed.headers['content-length'], undefined);
      }
  });

test('A large answer is sent whole, whatever its handler does afterwards', async (t) => {
  const { ask, lines } = await listen(t);
  for (const path of ['/bytes', '/twice', '/thrown', '/hijacked']) {
    const { body, headers } = await ask(`${path}?size=${LARGE}`);
    t.ok(body === 'a'.repeat(LARGE), path);
    t.equal(headers['content-length'], `${LARGE}`, path);
  }
  t.match(
    lines.filter(({ msg }) => msg === 'request'),
    Array(4).fill({ status: 200 }),
  );
});

test('Outside Fastify, a chunk that is neither text nor bytes is refused as by Node', async (t) => {
  const server = createServer({ ServerResponse: PiecewiseResponse }, (_request, response) => {
    t.throws(() => response.write({}), { code: 'ERR_INVALID_ARG_TYPE' });
    response.end('answered');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  t.equal(await (await fetch(`http://127.0.0.1:${port}`)).text(), 'answered');
});
