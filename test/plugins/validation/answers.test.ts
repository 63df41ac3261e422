import { test } from 'tap';
import { buildAppWithRoutes } from '../../helper.ts';

const ROUTES = `
  const found = { type: 'object', properties: { id: { type: 'integer' } } };
  const many = { type: 'array', items: found };
  const response = { 200: found, 202: { type: 'null' }, 403: found };
  export default async (app) => {
    app.addSchema({ ...found, $id: 'Found' });
    app.get('/missing', { schema: { response } }, async () => undefined);
    app.get('/none', { schema: { response: { 200: many } } }, async () => { [].find(Boolean); });
    app.get('/sent', { schema: { response } }, (_request, reply) => void reply.send());
    app.get('/found', { schema: { response } }, async () => ({ id: 1, secret: true }));
    app.get('/later', { schema: { response } }, async (_, reply) => { reply.send({ id: 1 }); });
    app.get('/accepted', { schema: { response } }, async (_request, reply) => { reply.code(202); });
    app.get('/other', { schema: { response } }, async (_request, reply) => { reply.code(304); });
    app.get('/refused', { schema: { response } }, (_request, reply) => void reply.code(403).send());
    const reply = (url, schema, answer = undefined) =>
      app.get(url, { schema: { response: { 200: schema } } }, async () => answer);
    for (const [key, url] of [['2xx', '/class'], ['2XX', '/CLASS'], ['default', '/default']])
      app.get(url, { schema: { response: { [key]: found } } }, async () => undefined);
    const content = { 'application/json': { schema: found } };
    reply('/content', { content });
    reply('/both', { allOf: [found, { type: 'object', properties: { at: { type: 'string' } } }] });
    reply('/either', { anyOf: [found, many] });
    reply('/reference', { $ref: 'Found#' });
    reply('/number', { type: 'integer' });
    const orNull = { type: ['object', 'null'], properties: {} };
    for (const [name, schema] of Object.entries({ found, many, orNull, content: { content } }))
      reply('/null/' + name, schema, null);
    reply('/null/text', { type: 'string' }, null);
    reply('/null/any', {}, null);
    app.get('/null/free', async () => null);
    app.get('/null/accepted', { schema: { response } }, (_, reply) => reply.code(202).send(null));
    app.get('/null/refused', { schema: { response } }, (_, reply) => reply.code(403).send(null));
    for (const [url, status] of Object.entries({ '/empty': 204, '/reset': 205 }))
      app.get(url, { schema: { response: { [status]: found } } }, async (_, reply) => {
        reply.code(status);
      });
    app.get('/free', async () => undefined);
    app.get('/none/2xx', { schema: { response: { '2xx': found } } }, (_request, reply) =>
      reply.code(204).send(null));
    app.get('/own', (_request, reply) => reply.serializer(({ length }) => length).send());
    reply('/open', { type: 'object' });
    reply('/flag', { type: 'boolean' });
    reply('/broken', { properties: { x: { $ref: 'Nowhere#' } } });
    app.head('/head', { schema: { response } }, async () => undefined);
  };
`;

test('A handler that returns nothing, where the schema has an answer, is a 500', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES);
  const forms = [
    'content',
    'both',
    'either',
    'reference',
    'number',
    'class',
    'CLASS',
    'default',
    'open',
    'flag',
  ];
  for (const url of ['/missing', '/none', '/sent', ...forms.map((form) => `/${form}`)]) {
    lines.length = 0;
    const answer = await app.inject(url);
    t.equal(answer.statusCode, 500, url);
    t.match(answer.json(), { code: 'INTERNAL_SERVER_ERROR' });
    t.match(lines, [{ path: url, err: { message: /returned nothing.*is a return missing/ } }]);
  }
  const successes = { '/found': 200, '/later': 200, '/accepted': 202, '/free': 200, '/own': 200 };
  const bodiless = {
    '/none/2xx': 204,
    '/empty': 204,
    '/reset': 205,
    '/other': 304,
    '/refused': 403,
  };
  const statuses = { ...successes, ...bodiless };
  for (const [url, status] of Object.entries(statuses))
    t.equal((await app.inject(url)).statusCode, status, url);
  t.equal((await app.inject({ method: 'HEAD', url: '/head' })).statusCode, 200);
});

test('An empty answer whose schema cannot be compiled is a 500 with the reason', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES);
  t.equal((await app.inject('/broken')).statusCode, 500);
  t.match(JSON.stringify(lines.at(-1)), /GET \/broken, response 200, cannot be compiled/);
});

test('A handler that returns null, where the schema has no null, is a 500', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES);
  for (const url of ['found', 'many', 'content', 'text'].map((name) => `/null/${name}`)) {
    lines.length = 0;
    t.equal((await app.inject(url)).statusCode, 500, url);
    t.match(lines, [
      { path: url, err: { message: /returned nothing or null.*is a return missing/ } },
    ]);
  }
  for (const name of ['orNull', 'any', 'free', 'accepted'])
    t.equal((await app.inject(`/null/${name}`)).body, 'null', name);
  t.equal((await app.inject('/null/refused')).statusCode, 403);
});

/** Routes whose answers have a secret field, which the listed types do not have. */
const ANSWERS = `
  const shown = { type: 'object', properties: { id: { type: 'integer' } } };
  const list = (...types) => ({
    content: Object.fromEntries(types.map((type) => [type, { schema: shown }])),
  });
  const send = (type, status = 200) => async (_request, reply) => {
    if (type) reply.type(type);
    return reply.code(status).send({ id: 1, secret: true });
  };
  export default async (app) => {
    const get = (url, response, handler) => app.get(url, { schema: { response } }, handler);
    const hal = list('application/hal+json');
    get('/json', { 200: list('application/json') }, send());
    get('/charset', { 200: list('application/json') }, send('application/json; charset=utf-8'));
    get('/hal', { 200: hal }, send('application/hal+json'));
    get('/any', { 200: list('text/csv', '*/*') }, send());
    get('/other', { 200: hal, 201: shown }, send('application/json', 201));
    get('/free', { 404: hal }, async () => ({ id: 1 }));
    get('/own', { 200: hal }, (_request, reply) =>
      reply.type('text/csv').serializer(({ id }) => 'id ' + id).send({ id: 1 }));
    get('/packed', { 200: hal }, (_request, reply) =>
      reply.code(206).type('application/x-msgpack').serializer(({ id }) => 'id ' + id).send({ id: 1 }));
    get('/text', { 200: hal }, async () => 'id 1');
    get('/unlisted', { 200: hal }, send());
    get('/problem', { 200: hal }, send('application/problem+json'));
    get('/class', { '2XX': hal, default: shown }, send());
    get('/default', { default: hal, 404: shown }, send());
    get('/refused', { '4xx': hal }, send('application/json', 403));
    get('/status', { 200: shown }, send('application/json', 201));
    get('/nothing', { 200: shown }, (_request, reply) => reply.code(201).send(null));
    get('/gone', { 200: shown, 201: shown }, (_request, reply) => reply.code(204).send());
    get('/failed', { 200: shown }, send('application/json', 404));
    get('/errors', { 404: shown }, send());
    get('/hidden', { 200: { content: { 'text/csv': { schema: { type: 'string' } } } } }, send());
  };
`;

test('JSON for whose status or type there is no schema is a 500, not sent whole', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ANSWERS);
  for (const name of ['json', 'charset', 'hal', 'any', 'other', 'free'])
    t.strictSame((await app.inject(`/${name}`)).json(), { id: 1 }, name);
  for (const name of ['own', 'packed', 'text'])
    t.equal((await app.inject(`/${name}`)).body, 'id 1', name);
  for (const name of ['unlisted', 'problem', 'class', 'default', 'hidden', 'status']) {
    const answer = await app.inject(`/${name}`);
    t.match(answer.json(), { statusCode: 500, code: 'INTERNAL_SERVER_ERROR' }, name);
    t.match(lines.at(-1), { err: { message: /^The route's response schemas have no / } });
  }
  t.equal((await app.inject('/nothing')).body, 'null');
  t.equal((await app.inject('/gone')).statusCode, 204);
  t.ok((await app.inject('/failed')).json().secret, 'no success is described for it');
  t.ok((await app.inject('/errors')).json().secret, 'no success is described');
  t.match(await app.inject('/refused'), { statusCode: 403 });
});

test('A type that no answer can have is an error that names the route', async (t) => {
  for (const type of ['text/*', 'Application/JSON', 'application/json; charset=utf-8']) {
    const response = { 200: { content: { [type]: { schema: { type: 'object' } } } } };
    const code = `export default async (app) => {
      app.get('/things', { schema: ${JSON.stringify({ response })} }, async () => ({}));
    };`;
    const error = await buildAppWithRoutes(t, code).catch((error) => error);
    t.ok(error.message.startsWith(`GET /things: no answer has the type "${type}"`), type);
  }
});
