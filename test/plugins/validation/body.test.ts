import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import { buildAppWithRoutes, hasParser } from '../../helper.ts';
import { sendChunks } from './chunks.ts';

/** Routes with a body and without one, and a path without a route. */
const ROUTES = `
  const body = { type: 'object', required: ['title'], properties: { title: { type: 'string' } } };
  export default async (app) => {
    app.get('/thing', async () => 'read');
    app.options('/thing', async () => 'options');
    app.delete('/thing', async (_request, reply) => reply.code(204).send());
    app.post('/free', async ({ body = null }) => ({ body }));
    for (const method of ['POST', 'PATCH', 'PUT'])
      app.route({ method, url: '/thing', schema: { body }, handler: async ({ body }) => body });
  };
`;

const TYPES = [
  'application/json',
  'application/json; charset=utf-8',
  'application/json; charset=utf-16',
  'application/vnd.api+json',
  'text/plain',
  'text/plain;charset=UTF-8',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=b',
  'application/octet-stream',
  'application/xml',
  'x/y',
  'application/',
  '/json',
  'json',
  ';;;,,,===',
  'application/json, text/plain',
  'application/json\xa0',
  'application/json\xa0;charset=utf-8',
  '',
];

/** The framings of an empty body. Only the last one has to be read. */
const FRAMINGS = {
  'no length': ['', ''],
  'content-length: 0': ['Content-Length: 0\r\n', ''],
  'an empty chunked body': ['Transfer-Encoding: chunked\r\n', '0\r\n\r\n'],
} as const;

function postJson(app: FastifyInstance, url: string, payload: string | Buffer, headers = {}) {
  const type = { 'content-type': 'application/json' };
  return app.inject({ method: 'POST', url, payload, headers: { ...type, ...headers } });
}

async function ask(app: FastifyInstance, request: string): Promise<number> {
  const { port } = app.server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(request, 'latin1');
  return Number((await text(socket)).split(' ')[1]);
}

function write(line: string, type: string | undefined, length = '', body = ''): string {
  const header = type === undefined ? '' : `Content-Type: ${type}\r\n`;
  return `${line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${header}${length}\r\n${body}`;
}

test('A request without a body may have any content type', async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTES, { RATE_LIMIT_MAX: '0' });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const answers = {
    'DELETE /thing': 204,
    'GET /thing': 200,
    'HEAD /thing': 200,
    'OPTIONS /thing': 200,
    'POST /free': 200,
    'POST /thing': 400,
    'PATCH /thing': 400,
    'PUT /thing': 400,
    'POST /nowhere': 404,
    'DELETE /free': 405,
  };
  for (const [name, [length, body]] of Object.entries(FRAMINGS)) {
    for (const [line, status] of Object.entries(answers)) {
      await t.test(`${line} with ${name} answers ${status} with any content type`, async (t) => {
        for (const type of [undefined, ...TYPES])
          t.equal(await ask(app, write(line, type, length, body)), status, `${type}`);
      });
    }
  }

  await t.test('A body of another type answers 415, chunked or not', async (t) => {
    const others = TYPES.filter(
      (type) => !/^application\/json(; charset=utf-8)?$/.test(type) && !hasParser(app, type),
    );
    for (const type of [undefined, ...others]) {
      for (const line of ['POST /thing', 'POST /free', 'DELETE /thing', 'OPTIONS /thing']) {
        const whole = write(line, type, 'Content-Length: 13\r\n', '{"title":"a"}');
        t.equal(await ask(app, whole), 415, `${line} ${type}`);
        const chunked = write(
          line,
          type,
          'Transfer-Encoding: chunked\r\n',
          'd\r\n{"title":"a"}\r\n',
        );
        t.equal(await ask(app, `${chunked}0\r\n\r\n`), 415, `${line} ${type}, chunked`);
      }
    }
  });

  await t.test('A body of an unknown type is refused before it arrives', async (t) => {
    for (const length of ['Content-Length: 9999999\r\n', 'Transfer-Encoding: chunked\r\n']) {
      const request = write('POST /thing', 'text/plain', length, '5\r\nabc');
      t.equal(await ask(app, request), 415, length);
    }
  });

  await t.test('JSON in UTF-8 is read with each spelling of its charset', async (t) => {
    for (const charset of ['utf-8', 'UTF-8', '"utf-8"', 'utf8', 'utf-8; x=charset']) {
      const type = `application/json;charset=${charset}`;
      const request = write('POST /thing', type, 'Content-Length: 13\r\n', '{"title":"a"}');
      t.equal(await ask(app, request), 200, charset);
    }
    const type = 'application/json;x=charset';
    const request = write('POST /thing', type, 'Content-Length: 13\r\n', '{"title":"a"}');
    t.equal(await ask(app, request), 200, type);
    for (const charset of ['utf-16', 'UTF-16LE', 'iso-8859-1', 'us-ascii', '"utf-32"', 'x']) {
      const type = `application/json;charset=${charset}`;
      const request = write('POST /thing', type, 'Content-Length: 13\r\n', '{"title":"a"}');
      t.equal(await ask(app, request), 415, charset);
    }
  });

  await t.test('A content type parser of the owner still gets its type', async (t) => {
    const code = `
      export default async (app) => {
        app.addContentTypeParser('text/csv', { parseAs: 'string' }, async (_request, body) => body);
        app.post('/csv', async ({ body = null }) => ({ body }));
      };
    `;
    const { app } = await buildAppWithRoutes(t, code);
    const headers = { 'content-type': 'text/csv' };
    const answer = await app.inject({ method: 'POST', url: '/csv', headers, payload: 'a,b' });
    t.strictSame(answer.json(), { body: 'a,b' });
  });
});

test('Headers that are met or mean nothing are not passed on by a proxy', async (t) => {
  const { app } = await buildAppWithRoutes(
    t,
    "export default async (app) => app.get('/headers', async ({ headers }) => headers);",
  );
  const headers = { 'content-type': 'application/json', expect: '100-continue', 'x-own': 'a' };
  const answer = (await app.inject({ url: '/headers', headers })).json();
  t.equal(answer['x-own'], 'a');
  t.notOk('expect' in answer || 'content-type' in answer);
});

test('A body in chunks of one byte takes little memory, and is read', async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTES);
  const { socket, grown } = await sendChunks(t, app, 'POST /free', 'application/json');
  t.ok(grown < 40_000_000, 'less than 200 bytes for each');
  socket.write('7\r\n{"a":1}\r\n0\r\n\r\n');
  t.match(await text(socket), /\r\n\r\n{"body":{"a":1}}$/);
});

test('A chunked body over the limit answers 413 before it ends', async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTES);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const head = write('POST /free', 'application/json', 'Transfer-Encoding: chunked\r\n');
  t.equal(await ask(app, `${head}100001\r\n${' '.repeat(0x100001)}`), 413);
});

test('A preParsing hook may replace the body by a stream of text', async (t) => {
  const code = `
    import { Readable } from 'node:stream';

    export default async (app) => {
      app.addHook('preParsing', async () => Readable.from(['{"a":', '"é"}']));
      app.post('/replaced', async ({ body }) => ({ body }));
    };
  `;
  const { app } = await buildAppWithRoutes(t, code);
  const answer = await app.inject({ method: 'POST', url: '/replaced', payload: { b: 1 } });
  t.strictSame(answer.json(), { body: { a: 'é' } });
});

/** Decompresses bodies. As with @fastify/compress, the stream is paused, and the header stays. */
const DECOMPRESSING = `
  import { createGunzip } from 'node:zlib';

  export default async (app) => {
    app.addHook('preParsing', async (request, reply, payload) => {
      delete request.headers['content-encoding'];
      const unzip = payload.pipe(createGunzip());
      return unzip.pause();
    });
    app.post('/unzipped', async ({ body }) => ({ body }));
  };
`;

test('A preParsing hook may give a stream of Uint8Array', async (t) => {
  const { app } = await buildAppWithRoutes(
    t,
    `import { Readable } from 'node:stream';
    export default async (app) => {
      app.addHook('preParsing', async (request, reply, payload) => {
        delete request.headers['content-encoding'];
        const unzipped = Readable.toWeb(payload).pipeThrough(new DecompressionStream('gzip'));
        return Readable.from(unzipped);
      });
      app.post('/unzipped', async ({ body }) => ({ body }));
    };`,
  );
  const answer = await postJson(app, '/unzipped', gzipSync('{"a":1}'));
  t.strictSame(answer.json(), { body: { a: 1 } });
});

test('JSON with too many levels is refused before it is parsed', async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTES);
  const send = (payload: string) => postJson(app, '/free', payload);
  const nest = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
  t.equal((await send(nest(1_000))).statusCode, 200);
  for (const json of [nest(1_001), '['.repeat(1_000_000), `{"a":${nest(1_000)}}`])
    t.match((await send(json)).json(), { statusCode: 400, code: 'TOO_DEEP' });
});

test('A preParsing hook may decompress the body', async (t) => {
  const { app } = await buildAppWithRoutes(t, DECOMPRESSING);
  const send = (payload: Buffer) =>
    postJson(app, '/unzipped', payload, { 'content-encoding': 'gzip' });
  t.strictSame((await send(gzipSync('{"a":1}'))).json(), { body: { a: 1 } });
  t.equal((await send(gzipSync('{"a":'))).statusCode, 400);
  // The stream fails after the limit was reached, at the checksum of the last bytes.
  const large = gzipSync(' '.repeat(2 * 1024 * 1024));
  t.equal((await send(large.fill(0, large.length - 8))).statusCode, 413);
});
