import Fastify, { type FastifyInstance, type InjectOptions } from 'fastify';
import { type Test, test } from 'tap';
import { Type } from 'typebox';
import { LazyCompilers } from '../../../plugins/validation/compilers.ts';

/** Creates an app that compiles schemas on first use. */
function createApp(t: Test): { app: FastifyInstance; compilers: LazyCompilers } {
  const compilers = new LazyCompilers();
  const app = Fastify({ schemaController: compilers });
  t.teardown(() => app.close());
  return { app, compilers };
}

test('A schema that cannot be compiled fails the first request that needs it', async (t) => {
  const { app } = createApp(t);
  app.get('/', { schema: { querystring: { type: 'nonsense' } } }, async () => 'served');
  app.get('/other', async () => 'served');
  await app.ready();
  t.equal((await app.inject('/other')).statusCode, 200);
  t.equal((await app.inject('/')).statusCode, 500);
});

test('A number in an answer becomes the nearest integer where the schema has one', async (t) => {
  const { app } = createApp(t);
  const properties = { cents: { type: 'integer' } };
  const schema = { response: { 200: { type: 'object', properties } } };
  app.get('/', { schema }, async () => ({ cents: 19.99 * 100 }));
  t.strictSame((await app.inject('/')).json(), { cents: 1999 });
});

test('A PATCH gets no defaults, which would overwrite stored values', async (t) => {
  const { app } = createApp(t);
  const properties = { name: { type: 'string' }, status: { type: 'string', default: 'new' } };
  const schema = { body: { type: 'object', minProperties: 1, properties } };
  app.post('/', { schema }, async ({ body }) => body);
  app.patch('/', { schema }, async ({ body }) => body);
  app.route({ method: ['PUT', 'PATCH'], url: '/both', schema, handler: async ({ body }) => body });
  const send = async (method: 'POST' | 'PATCH', payload: object) =>
    (await app.inject({ method, url: '/', payload })).json();
  t.strictSame(await send('POST', { name: 'a' }), { name: 'a', status: 'new' });
  t.strictSame(await send('PATCH', { name: 'a' }), { name: 'a' });
  t.match(await send('PATCH', {}), { statusCode: 400 });
  const answer = await app.inject({ method: 'PATCH', url: '/both', payload: { name: 'a' } });
  t.strictSame(answer.json(), { name: 'a' }, 'also of a route with several methods');
});

test('A schema that no request has used is compiled while idle', async (t) => {
  const { app, compilers } = createApp(t);
  const body = { type: 'object' };
  app.post('/', { schema: { body } }, async () => 'served');
  await app.ready();
  await compilers.compilePending();
  t.equal((await app.inject({ method: 'POST', url: '/', payload: {} })).body, 'served');
});

test('A bad schema that no request has used is an error at the end', async (t) => {
  const { app, compilers } = createApp(t);
  app.get('/', { schema: { response: { 200: { type: 'nonsense' } } } }, async () => 'served');
  await app.ready();
  await t.rejects(
    compilers.compilePending(),
    /^The schema of GET \/, response 200, cannot be compiled: .*type.* Correct it, or add/,
  );
});

test('A shared schema that cannot be compiled is named with the reason', async (t) => {
  const { app, compilers } = createApp(t);
  app.addSchema({ $id: 'size', type: 'nonsense' });
  app.post('/', { schema: { body: { type: 'object' } } }, async () => 'served');
  await app.ready();
  const reason = /^The schema size of app\.addSchema cannot be compiled: schema is invalid: .*type/;
  await t.rejects(compilers.compilePending(), { message: reason });
});

test('A schema that would accept everything by mistake is named with its mistake', async (t) => {
  const schema = { type: 'object', properties: { to: 'string' } };
  const rows = [
    ['POST', 'body'],
    ['PATCH', 'body'],
    ['GET', 'querystring'],
  ] as const;
  for (const [method, part] of rows) {
    const { app, compilers } = createApp(t);
    app.route({ method, url: '/', schema: { [part]: schema }, handler: async () => 'served' });
    await app.ready();
    const reason = `${method} /, ${part}, cannot be compiled: schema is invalid: data/properties/to`;
    await t.rejects(compilers.compilePending(), { message: new RegExp(reason) });
  }
});

test('A keyword that would check nothing is named', async (t) => {
  const schemas = {
    maxLenght: { type: 'object', properties: { to: { type: 'string', maxLenght: 5 } } },
    prefixItems: { type: 'array', prefixItems: [{ type: 'string' }] },
  };
  for (const [keyword, body] of Object.entries(schemas)) {
    const { app, compilers } = createApp(t);
    app.post('/a', { schema: { body } }, async () => 'served');
    await app.ready();
    const reason = new RegExp(`^The schema of POST /a, body, .*: unknown keyword: "${keyword}"`);
    await t.rejects(compilers.compilePending(), { message: reason });
  }
});

test('Keywords of draft 2019-09 are checked', async (t) => {
  const { app } = createApp(t);
  const a = { type: 'object', properties: { a: { type: 'string' } } };
  const b = { type: 'object', properties: { b: { type: 'string' } } };
  const schemas = {
    closed: { allOf: [a, b], unevaluatedProperties: false },
    together: { type: 'object', dependentRequired: { a: ['b'] } },
    few: { type: 'array', contains: { const: 'x' }, minContains: 2 },
  };
  for (const [name, body] of Object.entries(schemas))
    app.post(`/${name}`, { schema: { body } }, async ({ body }) => body);
  const send = async (path: string, payload: object) =>
    (await app.inject({ method: 'POST', url: path, payload })).statusCode;
  t.equal(await send('/closed', { a: '', b: '' }), 200);
  t.equal(await send('/closed', { a: '', b: '', isAdmin: true }), 400);
  t.equal(await send('/together', { a: '', b: '' }), 200);
  t.equal(await send('/together', { a: '' }), 400);
  t.equal(await send('/few', ['x', 'x']), 200);
  t.equal(await send('/few', ['x', 'y']), 400);
});

test('A schema may name the draft, and is checked by it', async (t) => {
  const { app, compilers } = createApp(t);
  const $schema = 'https://json-schema.org/draft/2019-09/schema';
  const body = { $schema, type: 'object', properties: { id: { type: 'integer' } } };
  app.post('/', { schema: { body } }, async () => 'served');
  const wrong = { $schema, type: 'object', properties: { id: { type: 'intger' } } };
  app.post('/wrong', { schema: { body: wrong } }, async () => 'served');
  const send = async (payload: object) =>
    (await app.inject({ method: 'POST', url: '/', payload })).statusCode;
  t.equal(await send({ id: 1 }), 200);
  t.equal(await send({ id: 'x' }), 400);
  await t.rejects(compilers.compilePending(), { message: /^The schema of POST \/wrong, body/ });
});

test('A schema whose check would find nothing is an error that names the route', async (t) => {
  const refined = Type.Object({ a: Type.Refine(Type.Integer(), (a) => a > 5) });
  const promised = { $async: true, type: 'object', properties: { a: { type: 'integer' } } };
  const parts = ['body', 'querystring', 'headers'];
  for (const [name, schema] of Object.entries({ '~refine': refined, $async: promised }))
    for (const part of parts) {
      const { app, compilers } = createApp(t);
      app.post('/a', { schema: { [part]: schema } }, async () => 'served');
      await app.ready();
      const message = `The schema of POST /a, ${part}, cannot be compiled: ${name} is not supported`;
      await t.rejects(
        compilers.compilePending(),
        { message: new RegExp(`^${message.replaceAll('$', '\\$')}`) },
        part,
      );
    }
  const { app, compilers } = createApp(t);
  app.addSchema({ $id: 'promised', ...promised });
  app.post('/a', { schema: { body: { $ref: 'promised#' } } }, async () => 'served');
  await app.ready();
  await t.rejects(compilers.compilePending(), { message: /promised of app.addSchema.*\$async/ });
});

test('Text in base64 has one line', async (t) => {
  const { app } = createApp(t);
  const body = { type: 'array', items: { type: 'string', format: 'byte' } };
  app.post('/', { schema: { body } }, async () => 'served');
  const send = async (text: string) =>
    (await app.inject({ method: 'POST', url: '/', payload: [text] })).statusCode;
  for (const text of ['', 'aGk=', 'aA==', 'aGk+/A==']) t.equal(await send(text), 200, text);
  for (const text of ['!\naGk=', 'aGk=\n', '\n!', 'aGk', 'a', 'aGk=aGk='])
    t.equal(await send(text), 400, JSON.stringify(text));
});

test("OpenAPI's annotations and extensions may stand in a schema", async (t) => {
  const { app, compilers } = createApp(t);
  app.addSchema({ $id: 'size', type: 'integer', example: 1, 'x-unit': 'cm' });
  const body = {
    type: 'object',
    externalDocs: { url: 'https://example.com' },
    discriminator: { propertyName: 'kind' },
    'x-order': ['kind'],
    properties: { kind: { type: 'string', xml: { attribute: true }, 'x-name': 'Kind' } },
    patternProperties: { '^k': { type: 'string' } },
  };
  const querystring = {
    type: 'object',
    style: 'form',
    explode: true,
    properties: { size: { $ref: 'size#' } },
  };
  const headers = { type: 'object', properties: { 'x-tenant': { type: 'string', 'x-foo.b': 1 } } };
  app.post('/', { schema: { body, querystring } }, async ({ query }) => query);
  for (const url of ['/a', '/b']) app.get(url, { schema: { headers } }, async () => 'served');
  const post = (payload: object) => app.inject({ method: 'POST', url: '/?size=5', payload });
  t.strictSame((await post({ kind: 'a' })).json(), { size: 5 });
  for (const kind of [1, 2]) t.equal((await post({ kind })).statusCode, 400);
  await compilers.compilePending();
});

test('A default that cannot be filled in is ignored', async (t) => {
  const { app, compilers } = createApp(t);
  const one = { type: 'object', properties: { size: { type: 'integer', default: 1 } } };
  const body = { anyOf: [one, { type: 'null' }], default: {} };
  for (const method of ['POST', 'PATCH'])
    app.route({ method, url: '/', schema: { body }, handler: async () => 'served' });
  await app.ready();
  await compilers.compilePending();
  for (const method of ['POST', 'PATCH'] as const) {
    const send = (size: unknown) => app.inject({ method, url: '/', payload: { size } });
    t.equal((await send(2)).statusCode, 200);
    t.equal((await send('two')).statusCode, 400);
  }
});

test('A number that is too large for JavaScript is refused', async (t) => {
  const { app } = createApp(t);
  const properties = { price: { type: 'number' }, count: { type: 'integer' } };
  const schema = { type: 'object', properties };
  app.post('/', { schema: { body: schema, querystring: schema } }, async () => 'served');
  const headers = { 'content-type': 'application/json' };
  const send = (payload: string, url = '/') =>
    app.inject({ method: 'POST', url, headers, payload });
  for (const name of ['price', 'count']) {
    t.match((await send(`{"${name}":1e400}`)).json(), { statusCode: 400, message: /must be/ });
    const large = `/?${name}=${'9'.repeat(400)}`;
    t.match((await send('{}', large)).json(), { statusCode: 400, message: /must be/ });
  }
  t.equal((await send('{"price":1e300,"count":5}')).statusCode, 200);
});

test('A number with two decimals is a multiple of 0.01', async (t) => {
  const { app } = createApp(t);
  const price = { type: 'number', multipleOf: 0.01 };
  const schema = { type: 'object', properties: { price } };
  app.post('/', { schema: { body: schema, querystring: schema } }, async () => 'served');
  const send = async (price: number) =>
    (await app.inject({ method: 'POST', url: `/?price=${price}`, payload: { price } })).statusCode;
  for (let cents = 0; cents < 1_000; cents += 7) t.equal(await send(cents / 100), 200);
  for (const large of [19_999_999.99, 2_000_000_000.07]) t.equal(await send(large), 200);
  for (const other of [0.075, 1.005, 1e-9, 12_345_678.901]) t.equal(await send(other), 400);
});

test('A multiple of a whole number is exact', async (t) => {
  const { app } = createApp(t);
  const add = (step: number) =>
    app.post(`/${step}`, { schema: { body: { multipleOf: step } } }, async () => ({
      served: true,
    }));
  for (const step of [2, 3_600_000, 1_048_576]) add(step);
  const send = async (step: number, payload: string) => {
    const headers = { 'content-type': 'application/json' };
    return (await app.inject({ method: 'POST', url: `/${step}`, headers, payload })).json();
  };
  for (const time of [1, 3, 3_599_999, 0.5])
    t.match(await send(3_600_000, `${time}`), { statusCode: 400 }, `${time}`);
  t.match(await send(1_048_576, '1'), { statusCode: 400 });
  t.match(await send(2, '9007199254740991'), { statusCode: 400 });
  t.match(await send(3_600_000, '1'), { message: /must be multiple of 3600000/ });
  t.match(await send(3_600_000, '7200000'), { served: true });
});

test('A time must exist for JavaScript too', async (t) => {
  const { app } = createApp(t);
  const properties = { since: { type: 'string', format: 'date-time' } };
  app.get('/', { schema: { querystring: { type: 'object', properties } } }, async () => 'served');
  const get = async (since: string) =>
    (await app.inject({ url: '/', query: { since } })).statusCode;
  t.equal(await get('2026-06-30T23:59:59Z'), 200);
  t.equal(await get('2026-06-30T23:59:60Z'), 400, 'a leap second');
});

test('The names of headers have no case', async (t) => {
  const { app } = createApp(t);
  const headers = {
    type: 'object',
    properties: { 'X-Tenant': { type: 'string', enum: ['A'] }, 'X-Size': { type: 'integer' } },
    allOf: [{ required: ['X-Tenant'] }],
    dependentRequired: { 'X-A': ['X-B'] },
  };
  app.get('/', { schema: { headers } }, async (request) => [request.headers['x-size']]);
  const get = async (headers: Record<string, string>) =>
    (await app.inject({ url: '/', headers })).json();
  t.strictSame(await get({ 'x-tenant': 'A', 'X-SIZE': '5' }), [5]);
  t.match(await get({ 'x-tenant': 'a' }), { statusCode: 400 });
  t.match(await get({ 'x-size': '5' }), { statusCode: 400 });
  t.match(await get({ 'x-tenant': 'A', 'x-a': '1' }), { statusCode: 400 });
  t.strictSame(await get({ 'x-tenant': 'A', 'x-a': '1', 'X-B': '2' }), [null]);
});

test('A schema with an $id may be used in several places', async (t) => {
  const { app, compilers } = createApp(t);
  const book = () => ({
    $id: 'Book',
    type: 'object',
    required: ['title'],
    properties: { title: { type: 'string' } },
  });
  const headers = { ...book(), $id: 'Headers', required: ['Title'] };
  app.addSchema(book());
  app.post('/body', { schema: { body: book() } }, async () => 'served');
  app.put('/body', { schema: { body: { $ref: 'Book#' } } }, async () => 'served');
  app.get('/query', { schema: { querystring: book() } }, async () => 'served');
  for (const url of ['/headers', '/same-headers'])
    app.get(url, { schema: { headers } }, async () => 'served');
  await app.ready();
  await compilers.compilePending();
  const ask = async (options: InjectOptions) => (await app.inject(options)).statusCode;
  for (const method of ['POST', 'PUT'] as const) {
    t.equal(await ask({ method, url: '/body', payload: {} }), 400);
    t.equal(await ask({ method, url: '/body', payload: { title: '' } }), 200);
  }
  t.equal(await ask({ url: '/query' }), 400);
  t.equal(await ask({ url: '/query?title=' }), 200);
  for (const url of ['/headers', '/same-headers'])
    for (const method of ['GET', 'HEAD'] as const) {
      t.equal(await ask({ method, url }), 400);
      t.equal(await ask({ method, url, headers: { title: 'a' } }), 200);
    }
});

test('A schema of headers may refer to itself', async (t) => {
  const { app } = createApp(t);
  const headers = {
    $id: 'Own',
    type: 'object',
    definitions: { size: { type: 'integer' } },
    properties: { 'X-Size': { $ref: 'Own#/definitions/size' } },
  };
  app.get('/', { schema: { headers } }, async () => 'served');
  const get = async (size: string) =>
    (await app.inject({ url: '/', headers: { 'x-size': size } })).statusCode;
  t.equal(await get('5'), 200);
  t.equal(await get('x'), 400);
});

test('Two schemas with one $id are an error', async (t) => {
  const { app, compilers } = createApp(t);
  for (const type of ['string', 'number'])
    app.post(`/${type}`, { schema: { body: { $id: 'Same', type } } }, async () => 'served');
  await app.ready();
  const message = /The schema of POST \/number, body, .* "Same" already exists/;
  await t.rejects(compilers.compilePending(), { message });
});

test('A schema with a missing $ref is named with the way to fix it', async (t) => {
  const { app, compilers } = createApp(t);
  app.post('/a', { schema: { body: { $ref: 'nowhere#' } } }, async () => 'served');
  await app.ready();
  const reason =
    /^The schema of POST \/a, body, cannot be compiled: .*nowhere.* by app\.addSchema\.$/;
  await t.rejects(compilers.compilePending(), { message: reason });
});

test('A schema with an unknown format is named with the format', async (t) => {
  for (const format of ['mail', 'url', 'regex']) {
    const { app, compilers } = createApp(t);
    const body = { type: 'object', properties: { to: { type: 'string', format } } };
    app.post('/a', { schema: { body } }, async () => 'served');
    await app.ready();
    const message = new RegExp(`^The schema of POST /a, body, .*: unknown format "${format}"`);
    await t.rejects(compilers.compilePending(), { message }, format);
  }
});

test('Schemas can refer to schemas added to the app', async (t) => {
  const { app } = createApp(t);
  app.addSchema({
    $id: 'size',
    type: 'object',
    properties: { size: { type: 'integer' } },
    additionalProperties: false,
  });
  const schema = { body: { $ref: 'size#' }, response: { 200: { $ref: 'size#' } } };
  app.post('/', { schema }, async () => ({ size: 2, secret: 3 }));
  const post = (payload: object) => app.inject({ method: 'POST', url: '/', payload });
  t.strictSame((await post({ size: 1 })).json(), { size: 2 });
  t.equal((await post({ size: 'large' })).statusCode, 400);
});
