import { pathToFileURL } from 'node:url';
import { test } from 'tap';
import { buildTestApp, createFolder, DOWN, hasParser, writeFiles } from '../../helper.ts';

/** A route that answers its validated input. */
const ECHO = `
  const body = {
    type: 'object',
    properties: {
      text: { type: 'string' },
      whole: { type: 'integer' },
      flag: { type: 'boolean' },
      color: { type: 'string', default: 'red' },
      at: { type: 'string', format: 'date-time' },
      to: { type: 'string', format: 'email' },
      day: { type: 'string', format: 'date' },
      hour: { type: 'string', format: 'time' },
      link: { type: 'string', format: 'uri' },
      address: { type: 'string', format: 'ipv4' },
    },
    additionalProperties: false,
  };
  const querystring = {
    type: 'object',
    properties: {
      page: { type: 'integer', default: 1 },
      tags: { type: 'array', items: { type: 'string' } },
    },
  };
  const params = {
    type: 'object',
    properties: { number: { type: 'integer' }, id: { type: 'string', format: 'uuid' } },
  };
  export default async (app) => {
    app.post('/body', { schema: { body } }, async ({ body }) => body);
    app.get('/query', { schema: { querystring } }, async ({ query }) => query);
    app.get('/number/:number', { schema: { params } }, async ({ params }) => params);
    app.get('/id/:id', { schema: { params } }, async ({ params }) => params);
  };
`;

test('Requests are validated', async (t) => {
  const folder = await createFolder(t);
  await writeFiles(folder, { 'index.js': ECHO });
  const app = await buildTestApp(
    t,
    { DATABASE_URL: DOWN },
    { routes: [pathToFileURL(`${folder}/`)] },
  );
  const post = (payload: object | string, type = 'application/json') =>
    app.inject({ method: 'POST', url: '/body', payload, headers: { 'content-type': type } });

  t.test('A body is taken unchanged, with its defaults', async (t) => {
    const formats = { at: '2026-01-31T12:00:00.000Z', to: 'a@b.example', day: '2028-02-29' };
    const more = { hour: '12:00:00Z', link: 'https://a.example/?b', address: '192.0.2.1' };
    const payload = { text: '1', whole: 1, flag: false, ...formats, ...more };
    t.strictSame((await post(payload)).json(), { ...payload, color: 'red' });
  });

  t.test('A body of wrong types answers 400 without coercion', async (t) => {
    const bodies = [
      { text: 1 },
      { text: null },
      { whole: '1' },
      { whole: 1.5 },
      { flag: 'true' },
      { flag: 0 },
      { at: '1' },
      { to: 'x' },
      { day: '2026-02-29' },
      { hour: '12' },
      { link: 'a' },
      { address: '192.0.2.256' },
    ];
    for (const body of bodies) {
      const answer = await post(body);
      t.equal(answer.statusCode, 400, JSON.stringify(body));
      t.match(answer.json(), {
        code: 'FST_ERR_VALIDATION',
        message: new RegExp(`^body/${Object.keys(body)}`),
      });
    }
    for (const body of ['[]', '"text"', '1', 'null'])
      t.equal((await post(body)).statusCode, 400, body);
  });

  t.test('A body with an unknown field answers 400 instead of dropping it', async (t) => {
    t.match((await post({ text: 'a', txet: 'b' })).json(), { message: /additional properties/ });
  });

  t.test('A body that is not JSON answers 400', async (t) => {
    for (const body of [
      '{',
      '',
      '{"text":"a"',
      "{'text':'a'}",
      '{"__proto__":{}}',
      '{"constructor":{"prototype":{}}}',
    ]) {
      const answer = await post(body);
      t.equal(answer.statusCode, 400, body);
      t.match(answer.json(), { statusCode: 400, error: 'Bad Request' });
    }
  });

  t.test('A body that is not UTF-8 answers 400', async (t) => {
    const payload = Buffer.from([0x7b, 0x22, 0x74, 0xff, 0x22, 0x7d]);
    const headers = { 'content-type': 'application/json' };
    const answer = await app.inject({ method: 'POST', url: '/body', payload, headers });
    t.match(answer.json(), { statusCode: 400, error: 'Bad Request', message: /UTF-8/ });
  });

  t.test('A body of another type answers 415', async (t) => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/xml',
    ]) {
      if (hasParser(app, type)) continue;
      const answer = await post('text=a', type);
      t.equal(answer.statusCode, 415, type);
      t.match(answer.json(), { error: 'Unsupported Media Type' });
    }
  });

  t.test('Numbers and lists are read from a query and a path', async (t) => {
    t.strictSame((await app.inject('/query?page=2&tags=a')).json(), { page: 2, tags: ['a'] });
    t.strictSame((await app.inject('/query?tags=a&tags=b')).json(), { tags: ['a', 'b'], page: 1 });
    t.strictSame((await app.inject('/number/7')).json(), { number: 7 });
    t.equal((await app.inject('/query?page=two')).statusCode, 400);
    t.equal((await app.inject('/number/seven')).statusCode, 400);
  });

  t.test('A wrong format answers 400', async (t) => {
    t.equal((await app.inject('/id/0198b1a0-0000-7000-8000-000000000000')).statusCode, 200);
    t.match((await app.inject('/id/0198')).json(), { statusCode: 400, message: /uuid/ });
  });
});
