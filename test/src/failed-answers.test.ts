import { once } from 'node:events';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Test, test } from 'tap';
import {
  buildAppWithRoutes,
  buildTestApp,
  createFolder,
  DOWN,
  exportFrom,
  fetchUncompressed,
  poll,
  ROOT,
  writeFiles,
} from '../helper.ts';

const ROUTES = `
  import { Readable } from 'node:stream';
  import { setTimeout as sleep } from 'node:timers/promises';

  const fail = () => { throw new Error('failed'); };

  /** Sends some chunks, then waits. The kind of the stream is the path. */
  const STREAMS = {
    web: (chunks) => new ReadableStream({
      async pull(stream) {
        await sleep(20);
        if (chunks.length > 0) stream.enqueue(chunks.shift());
      },
    }),
    response: (chunks) => new Response(STREAMS.web(chunks)),
    generator: (chunks) => Readable.from(wait(chunks)),
    objects: (chunks) => {
      const stream = new Readable({ objectMode: true, read() {} });
      chunks.forEach((chunk, index) => setTimeout(() => stream.push(chunk), 20 * (index + 1)));
      return stream;
    },
  };

  async function* wait(chunks) {
    for (const chunk of chunks) {
      yield chunk;
      await sleep(20);
    }
    await sleep(600_000, undefined, { ref: false });
  }

  const HANDLERS = {
    'thrown-behind-stream': async (_request, reply) => {
      reply.send(STREAMS.generator(['half']));
      while (!reply.raw.headersSent) await sleep(5);
      fail();
    },
    'sent-behind-stream': async (_request, reply) => {
      reply.send(STREAMS.generator(['half']));
      while (!reply.raw.headersSent) await sleep(5);
      return reply.send(new Error('failed'));
    },
    'thrown-behind-raw': async ({ raw }, reply) => {
      reply.raw.writeHead(200).write('half');
      fail();
    },
    'thrown-at-once-behind-raw': (_request, reply) => {
      reply.raw.writeHead(200).write('half');
      fail();
    },
    'invalid-trailer': async (_request, reply) => {
      reply.trailer('x-failed', async () => 'two\\nlines');
      return 'whole';
    },
    'invalid-trailer-of-stream': (_request, reply) => {
      reply.trailer('x-failed', (_reply, _payload, done) => done(null, 'two\\nlines'));
      reply.send(Readable.from(['whole']));
    },
    'hijacked': async (_request, reply) => {
      await sleep(1);
      reply.hijack();
      reply.raw.writeHead(200).write('half');
      fail();
    },
    'hijacked-at-once': (_request, reply) => {
      reply.hijack();
      reply.raw.writeHead(200).write('half');
      fail();
    },
  };

  export default async (app) => {
    for (const [kind, create] of Object.entries(STREAMS)) {
      app.get('/first/' + kind, async () => create([{ wrong: 'failed' }]));
      app.get('/second/' + kind, async () => create(['half', { wrong: 'failed' }]));
    }
    for (const [name, handler] of Object.entries(HANDLERS)) app.get('/' + name, handler);
    app.get('/answered', (_request, reply) => { reply.send('whole'); fail(); });
    app.get('/answered-later', async (_request, reply) => { reply.send('whole'); fail(); });
    app.get('/caught', (_request, reply) => {
      reply.hijack();
      try {
        reply.raw.write({});
      } catch {
        reply.raw.end('whole');
      }
    });
    app.get('/hook', { onResponse: async () => fail() }, async () => 'whole');
  };
`;

const KINDS = ['web', 'response', 'generator', 'objects'];

const BROKEN = [
  'thrown-behind-stream',
  'sent-behind-stream',
  'thrown-behind-raw',
  'thrown-at-once-behind-raw',
  'invalid-trailer',
  'invalid-trailer-of-stream',
  'hijacked',
  'hijacked-at-once',
];

async function listen(t: Test) {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  /** Returns the errors in the log after a request. */
  const findErrors = async (path: string) => {
    await poll(() => lines.some((line) => line.path === path));
    const find = () => lines.filter(({ err, requestId }) => err && requestId);
    await poll(() => find().length > 0);
    // Another error would be logged before the next request.
    await fetch(`${url}/health/ready`);
    return find();
  };
  return { url, findErrors };
}

for (const kind of KINDS) {
  test(`A first chunk that is neither text nor bytes is a 500: ${kind}`, async (t) => {
    const { url, findErrors } = await listen(t);
    const answer = await fetchUncompressed(`${url}/first/${kind}`);
    t.equal(answer.status, 500);
    t.match(await answer.json(), { code: 'INTERNAL_SERVER_ERROR' });
    const errors = await findErrors(`/first/${kind}`);
    t.match(errors, [{ level: 50, status: 500, err: { code: 'ERR_INVALID_ARG_TYPE' } }]);
    t.equal(errors.length, 1);
  });

  test(`A later such chunk breaks off the answer: ${kind}`, async (t) => {
    const { url, findErrors } = await listen(t);
    await t.rejects(fetchUncompressed(`${url}/second/${kind}`).then((answer) => answer.text()));
    const errors = await findErrors(`/second/${kind}`);
    t.match(errors, [{ level: 50, msg: 'An answer was interrupted', err: { code: /ARG_TYPE/ } }]);
    t.equal(errors.length, 1);
  });
}

for (const name of BROKEN)
  test(`An error after the status breaks off the answer, and is logged once: ${name}`, async (t) => {
    const { url, findErrors } = await listen(t);
    await t.rejects(fetchUncompressed(`${url}/${name}`).then((answer) => answer.text()));
    const errors = await findErrors(`/${name}`);
    t.match(errors, [{ level: 50, requestId: String, err: { message: /failed|chunk/ } }]);
    t.equal(errors.length, 1);
  });

for (const name of ['answered', 'answered-later', 'hook'])
  test(`An error after a whole answer is logged: ${name}`, async (t) => {
    const { url, findErrors } = await listen(t);
    t.equal(await (await fetch(`${url}/${name}`)).text(), 'whole');
    t.match(await findErrors(`/${name}`), [{ level: 50, err: { message: 'failed' } }]);
  });

test('A handler that hijacked its answer may catch the error of a chunk', async (t) => {
  const { url } = await listen(t);
  t.equal(await (await fetch(`${url}/caught`)).text(), 'whole');
});

test('A WebSocket of a plugin, whose handler gets the socket first, works', async (t) => {
  const folder = await createFolder(t);
  await writeFiles(folder, {
    'plugins/websocket.js': exportFrom(path.join(ROOT, 'test/fixture/websocket.ts')),
    'routes/index.js': `export default async (app) => {
      app.get('/socket', { websocket: true }, (socket) => socket.on('message', (text) => {
        socket.send(text.toString());
      }));
    };`,
  });
  const locate = (name: string) => [pathToFileURL(`${folder}/${name}/`)];
  const plugins = [new URL('../../plugins/', import.meta.url), ...locate('plugins')];
  const options = { plugins, routes: locate('routes') };
  const app = await buildTestApp(t, { DATABASE_URL: DOWN }, options);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const socket = new WebSocket(`${url}/socket`);
  await once(socket, 'open');
  socket.send('sent');
  const [{ data }] = await once(socket, 'message');
  t.equal(data, 'sent');
  socket.close();
  await once(socket, 'close');
});

test('A handler that fails after its client has gone is logged', async (t) => {
  const { app, lines } = await buildAppWithRoutes(
    t,
    `
      import { once } from 'node:events';
      export default async (app) => {
        for (const [name, error] of Object.entries({
          late: new Error('late'),
          aborted: new DOMException('aborted', 'AbortError'),
          taken: Object.assign(new Error('taken'), { statusCode: 409, expose: true }),
          asked: new Error('wrapped', { cause: new DOMException('aborted', 'AbortError') }),
          begun: new Error('begun'),
        }))
          app.get('/' + name, async (request, reply) => {
            if (name === 'begun') reply.raw.writeHead(200).write('begun');
            await once(reply.raw, 'close');
            throw error;
          });
      };
    `,
  );
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  for (const name of ['aborted', 'taken', 'asked', 'begun', 'late']) {
    const controller = new AbortController();
    const asked = fetch(`${url}/${name}`, { signal: controller.signal });
    await poll(() => app.openRequests.list().length === 1);
    if (name === 'begun') await asked;
    controller.abort();
    if (name !== 'begun') await t.rejects(asked);
    await poll(() => lines.some((line) => line.path === `/${name}`));
  }
  await poll(() => lines.some(({ level }) => level === 50));
  const interrupted = lines.find(({ msg }) => msg === 'An answer was interrupted');
  t.match(interrupted, { level: 30, err: { message: 'begun' } });
  t.match(
    lines.filter(({ level, requestId }) => requestId && level > 30),
    [{ level: 50, err: { message: 'late' }, msg: 'A request failed after its client had gone' }],
  );
});

test('The log has the error of a 5xx that the error handler of a scope answers', async (t) => {
  const { app, lines } = await buildAppWithRoutes(
    t,
    `
      export default async (app) => {
        app.setErrorHandler((error, request, reply) => reply.code(error.status).send({ own: true }));
        for (const status of [404, 500])
          app.get('/' + status, async () => { throw Object.assign(new Error('own'), { status }) });
      };
    `,
  );
  lines.length = 0;
  for (const status of [404, 500])
    t.match(await app.inject(`/${status}`), { statusCode: status, payload: '{"own":true}' });
  t.match(lines, [
    { level: 30, status: 404, err: undefined },
    { level: 50, status: 500, err: { message: 'own' } },
  ]);
});
