import { test } from 'tap';
import { buildAppWithRoutes } from '../../helper.ts';
import { sendChunks } from './chunks.ts';

const ROUTES = `
  export default async (app) => {
    const options = { parseAs: 'buffer', bodyLimit: 2_000_000 };
    app.addContentTypeParser('x/bytes', options,
      (request, body, done) => done(null, body));
    const asString = { parseAs: 'string' };
    app.addContentTypeParser(['x/text', 'x/words'], asString, async (request, body) => {
      if (body === 'failed') throw Object.assign(new Error('failed'), { statusCode: 400 });
      return body;
    });
    app.addContentTypeParser('x/thrown', asString, () => { throw new Error('thrown') });
    app.addContentTypeParser(/^x\\/then/, { parseAs: 'buffer' }, () => ({
      then: (use) => use('then'),
    }));
    app.addContentTypeParser('x/none', undefined, (request, payload, done) => {
      payload.resume().on('end', () => done(null, 'none'));
    });
    app.post('/default', { bodyLimit: 1_048_576 }, async () => ({}));
    app.addContentTypeParser('x/own', (request, payload, done) => {
      payload.resume().on('end', () => done(null, 'own'));
    });
    const answer = async ({ body }) => ({ type: body?.constructor.name, length: body?.length });
    app.post('/read', answer);
    app.post('/short', { bodyLimit: 10 }, answer);
  };`;

test('Parsers with parseAs get the whole body', async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTES);
  const send = (type: string, payload: string | Buffer, url = '/read') =>
    app.inject({ method: 'POST', url, payload, headers: { 'content-type': type } });
  t.strictSame((await send('x/bytes', 'é')).json(), { type: 'Buffer', length: 2 });
  t.strictSame((await send('x/words', 'é')).json(), { type: 'String', length: 1 });
  t.strictSame((await send('x/own', 'é')).json(), { type: 'String', length: 3 });
  t.strictSame((await send('x/none', 'é')).json(), { type: 'String', length: 4 });
  t.strictSame((await send('x/then', 'é')).json(), { type: 'String', length: 4 });
  t.equal((await send('x/text', 'failed')).statusCode, 500);
  t.equal((await send('x/thrown', 'a')).statusCode, 500);
});

test("The limit of a body is the route's, the parser's or else the app's", async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTES);
  const send = async (type: string, length: number, url = '/read') => {
    const headers = { 'content-type': type };
    const payload = Buffer.alloc(length);
    return (await app.inject({ method: 'POST', url, payload, headers })).statusCode;
  };
  t.equal(await send('x/bytes', 2_000_000), 200);
  t.equal(await send('x/bytes', 2_000_001), 413);
  t.equal(await send('x/text', 1024 * 1024), 200);
  t.equal(await send('x/text', 1024 * 1024 + 1), 413);
  t.equal(await send('x/bytes', 1_048_577, '/default'), 413);
  t.equal(await send('x/bytes', 10, '/short'), 200);
  t.equal(await send('x/bytes', 11, '/short'), 413);
});

test('A body that a preParsing hook cannot read is a 400, or what its error says', async (t) => {
  const { app, lines } = await buildAppWithRoutes(
    t,
    `
      import { createGunzip } from 'node:zlib';
      import { Readable } from 'node:stream';
      const fail = (fields) => Readable.from((function* () {
        throw Object.assign(new Error('broken'), fields);
      })());
      export default async (app) => {
        const streams = {
          gzip: (payload) => payload.pipe(createGunzip()),
          coded: () => fail({ statusCode: 422, code: 'FST_A_B' }),
          other: () => fail({ statusCode: 422 }),
          text: () => Readable.from((function* () { throw 'text' })()),
        };
        for (const [name, open] of Object.entries(streams))
          app.post('/' + name, { preParsing: async (request, reply, payload) => open(payload) },
            async ({ body }) => body);
      };
    `,
  );
  const send = async (url: string) =>
    (await app.inject({ method: 'POST', url, payload: {} })).json();
  t.match(await send('/gzip'), { statusCode: 400, code: 'UNREADABLE_BODY' });
  const line = lines.find(({ level, err }) => level === 30 && err);
  t.match(line, { err: { code: 'Z_DATA_ERROR' }, msg: 'A body cannot be read' });
  t.match(await send('/coded'), { statusCode: 422, code: 'FST_A_B' });
  t.match(await send('/other'), { statusCode: 500 });
  t.match(await send('/text'), { statusCode: 400, code: 'UNREADABLE_BODY' });
});

test('A wrong parser is refused as in Fastify', async (t) => {
  for (const parser of [
    "{ parseAs: 'json' }, () => {}",
    "{ parseAs: 'buffer' }",
    "{ parseAs: 'buffer' }, {}",
  ])
    await t.rejects(
      buildAppWithRoutes(
        t,
        `export default async (app) => app.addContentTypeParser('x/y', ${parser});`,
      ),
      { code: /^FST_ERR_CTP_/ },
    );
});

test('A body in chunks of one byte takes little memory in such a parser', async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTES);
  const { grown } = await sendChunks(t, app, 'POST /read', 'x/bytes');
  t.ok(grown < 10_000_000, 'less than 50 bytes for each');
});
