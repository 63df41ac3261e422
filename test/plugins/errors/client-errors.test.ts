import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import {
  buildAppWithRoutes,
  buildTestApp,
  createFolder,
  DOWN,
  poll,
  writeFiles,
} from '../../helper.ts';

/** One route begins an answer, another ends it. */
const ROUTES = `
  let begun;
  export default async (app) => {
    app.get('/begin', async (request, reply) => {
      reply.hijack();
      begun = reply.raw;
      begun.writeHead(200, { 'content-length': 5 });
      begun.write('be');
    });
    app.get('/end', async () => void begun.end('gin'));
  };
`;

/** Headers that announce a body. */
const BODY = 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n';

/** Sends raw bytes. */
async function send(app: FastifyInstance, bytes: string): Promise<Socket> {
  const { port } = app.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(bytes);
  return socket;
}

function readAnswer(answer: string) {
  const [head = ''] = answer.split('\r\n\r\n');
  const body = JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1));
  return { status: Number(head.split(' ')[1]), head: head.toLowerCase(), body };
}

test('Malformed HTTP', async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTES);
  await app.listen({ host: '127.0.0.1', port: 0 });

  const requests: [string, number, string][] = [
    ['malformed HTTP', 400, 'hello\r\n\r\n'],
    ['a header without a name', 400, 'GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n'],
    [
      'two lengths',
      400,
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    ],
    [
      'headers over the limit',
      431,
      `GET / HTTP/1.1\r\nHost: a\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`,
    ],
    [
      'chunk extensions over the limit',
      413,
      `POST /nowhere HTTP/1.1\r\nHost: a\r\n${BODY}\r\n1;${'x'.repeat(20_000)}\r\n`,
    ],
  ];
  for (const [name, status, request] of requests) {
    await t.test(`${name} answers ${status} and ends the connection`, async (t) => {
      const answer = readAnswer(await text(await send(app, request)));
      t.equal(answer.status, status);
      t.match(answer.head, 'connection: close');
      t.match(answer.head, 'content-type: application/json');
      t.match(answer.body, { statusCode: status, code: String, error: String, message: /\.$/ });
    });
  }

  await t.test("A bad request behind a good one leaves the good one's answer", async (t) => {
    const socket = await send(app, 'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n\r\n');
    t.match(await text(socket), /^HTTP\/1\.1 200 OK\r\n/);
  });

  await t.test('An answer in flight is completed although nonsense follows', async (t) => {
    const socket = await send(app, 'GET /begin HTTP/1.1\r\nHost: a\r\n\r\n');
    const [begin] = await once(socket, 'data');
    socket.write('nonsense\r\n\r\n');
    await once(app.server, 'clientError');
    await app.inject('/end');
    t.match(begin + (await text(socket)), /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nbegin$/);
  });

  await t.test('More nonsense behind an open answer adds no listeners', async (t) => {
    let warning: Error | undefined;
    const keep = (given: Error) => {
      warning = given;
    };
    process.on('warning', keep);
    t.teardown(() => process.off('warning', keep));
    const socket = await send(app, 'GET /begin HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(socket, 'data');
    for (let count = 0; count < 20; count++) {
      const reported = once(app.server, 'clientError');
      socket.write('nonsense\r\n\r\n');
      await reported;
    }
    await app.inject('/end');
    t.match(await text(socket), /gin$/);
    t.equal(warning, undefined);
  });

  await t.test('Nonsense within a request answers 400 and ends the connection', async (t) => {
    const head = 'POST /nowhere HTTP/1.1\r\nHost: a\r\n';
    const answer = readAnswer(await text(await send(app, `${head}${BODY}\r\nnonsense\r\n`)));
    t.equal(answer.status, 400);
    t.match(answer.head, 'connection: close');
  });

  await t.test('Nonsense in a body that was already answered gets no second answer', async (t) => {
    const head = 'POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
    const socket = await send(app, `${head}1\r\na\r\n`);
    const [answer] = await once(socket, 'data');
    t.match(String(answer), /^HTTP\/1\.1 (404|415) /);
    socket.write('nonsense\r\n');
    t.equal(await text(socket), '');
  });

  await t.test('An unknown Expect header answers 417', async (t) => {
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: a-miracle\r\n\r\n{}';
    const answer = readAnswer(await text(await send(app, head)));
    t.equal(answer.status, 417);
    t.match(answer.body, { statusCode: 417, error: 'Expectation Failed', message: /100-continue/ });
  });

  await t.test('A client that disconnects within a body leaves the app serving', async (t) => {
    const head =
      'POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n' +
      'Content-Type: application/json\r\n\r\n{';
    (await send(app, head)).resetAndDestroy();
    const answer = await text(
      await send(app, 'GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
    );
    t.match(answer, /^HTTP\/1\.1 200 OK/);
  });
});

test('A path that cannot be decoded answers 400; a long part answers 414', async (t) => {
  const folder = await createFolder(t);
  await writeFiles(folder, {
    'index.js': "export default async (app) => app.get('/things/:id', async () => ({}));",
  });
  const app = await buildTestApp(
    t,
    { DATABASE_URL: DOWN },
    { routes: [pathToFileURL(`${folder}/`)] },
  );
  for (const url of ['/things/%', '/%E0%A4%A', '/%ff']) {
    const answer = await app.inject(url);
    t.equal(answer.statusCode, 400, url);
    t.match(answer.json(), {
      statusCode: 400,
      error: 'Bad Request',
      message: 'The path, or its encoding, is not valid.',
    });
  }
  const long = await app.inject(`/things/${'x'.repeat(2_000)}`);
  t.match(long.json(), {
    statusCode: 414,
    error: 'URI Too Long',
    message: 'A part of the path is too long.',
  });
});

test('A malformed body that nothing reads answers 400', async (t) => {
  const { app } = await buildAppWithRoutes(
    t,
    `export default async (app) => {
      const onRequest = () => new Promise(() => {});
      app.post('/late', { onRequest }, async () => 'late');
    };`,
  );
  await app.listen({ host: '127.0.0.1', port: 0 });
  const socket = await send(app, `POST /late HTTP/1.1\r\nHost: a\r\n${BODY}\r\nnonsense\r\n`);
  t.match(readAnswer(await text(socket)), { status: 400, body: { statusCode: 400 } });
});

for (const form of ['request, reply, payload, done', 'request, reply, payload'])
  test(`A malformed body does not disturb an answer in onSend hooks (${form})`, async (t) => {
    const { app, lines } = await buildAppWithRoutes(
      t,
      `import { once } from 'node:events';
      const addRoutes = async (app) => {
        app.addHook('onSend', (${form}) => {
          request.log.info('sending');
          // Until the server has seen the malformed chunk.
          const kept = once(app.server, 'clientError').then(() => undefined);
          if (typeof done === 'undefined') return kept;
          kept.then(() => done());
        });
        app.addContentTypeParser('text/plain', (request, payload, done) => done(null, payload));
        app.post('/early', async () => ({ early: true }));
        app.post('/refused', async (request, reply) => reply.code(409).send({ refused: true }));
      };
      // The hook is for unknown paths too.
      export default Object.assign(addRoutes, { [Symbol.for('skip-override')]: true });`,
    );
    await app.listen({ host: '127.0.0.1', port: 0 });
    const answers = { '/early': 200, '/refused': 409, '/nowhere': 404 };
    for (const [path, status] of Object.entries(answers)) {
      const head = `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n`;
      const socket = await send(app, `${head}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n`);
      await poll(() => lines.some(({ msg }) => msg === 'sending'));
      socket.write('nonsense\r\n');
      const answer = await text(socket);
      t.match(readAnswer(answer), { status }, path);
      t.match(answer, /connection: close/i);
      await poll(() => lines.some((line) => line.status === status));
      lines.length = 0;
    }
  });

test('A malformed body ends its connection although an onError hook never ends', async (t) => {
  const { app, lines } = await buildAppWithRoutes(
    t,
    `export default async (app) => {
      app.addHook('onRequest', async () => { throw new Error('refused'); });
      app.addHook('onError', (request) => {
        request.log.info('reported');
        return new Promise(() => {});
      });
      app.post('/reported', async () => 1);
    };`,
  );
  await app.listen({ host: '127.0.0.1', port: 0 });
  const head = `POST /reported HTTP/1.1\r\nHost: a\r\n${BODY}\r\n`;
  const socket = await send(app, `${head}1\r\na\r\n`);
  await poll(() => lines.some(({ msg }) => msg === 'reported'));
  socket.resume().write('nonsense\r\n');
  await once(socket, 'close');
  t.match(
    lines.filter(({ msg }) => msg.startsWith('A malformed body')),
    [{ level: 50, err: { code: 'FST_ERR_SEND_INSIDE_ONERR' } }],
  );
});

test('A client that ends its side within a request ends that and its other requests', async (t) => {
  const { app, lines } = await buildAppWithRoutes(
    t,
    `import { once } from 'node:events';
    export default async (app) => {
      app.addContentTypeParser('text/plain', (request, payload, done) => done(null, payload));
      const config = { timeout: false };
      const wait = async (request, reply) => {
        request.log.info('waiting');
        await once(request.signal, 'abort');
        request.log.info('aborted');
      };
      app.route({ method: ['GET', 'POST'], url: '/waits', config, handler: wait });
      app.post('/echo', (request, reply) => reply.send(request.body));
      app.post('/takes', { config }, (request, reply) => reply.hijack());
    };`,
    { RATE_LIMIT_MAX: '0' },
  );
  await app.listen({ host: '127.0.0.1', port: 0 });
  const head = (line: string) => `${line} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n`;
  const incomplete = (line: string) => `${head(line)}Content-Length: 100\r\n\r\npart`;
  const waits = `${head('GET /waits')}\r\n`;
  const cases = {
    'the body of an answer that has begun': [incomplete('POST /echo')],
    'the body of a hijacked answer': [incomplete('POST /takes')],
    'a body that nothing reads': [incomplete('POST /waits'), 'aborted'],
    'the body of a GET': [incomplete('GET /waits'), 'aborted'],
    'the head of the next request': [`${waits}GET /ne`, 'aborted'],
    'the body of the next request': [`${waits}${incomplete('POST /echo')}`, 'aborted'],
  };
  for (const [name, [bytes, message]] of Object.entries(cases)) {
    lines.length = 0;
    const socket = await send(app, bytes as string);
    await poll(() => app.openRequests.list().some(({ isHandled }) => isHandled));
    socket.destroy();
    await poll(() => app.openRequests.list().length === 0);
    if (message) await poll(() => lines.some(({ msg }) => msg === message));
    t.pass(name);
  }
});

test('The log says why a request of another protocol could not be read', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const prefaces = [
    'PROXY TCP4 203.0.113.9 198.51.100.1 51234 443\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  ];
  for (const preface of prefaces) {
    t.match(await text(await send(app, preface)), /^HTTP\/1\.1 400 /);
    await poll(() => lines.some(({ code }) => /^HPE_/.test(String(code))));
    lines.length = 0;
  }
});
