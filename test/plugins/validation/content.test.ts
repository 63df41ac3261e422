import { test } from 'tap';
import { buildAppWithRoutes } from '../../helper.ts';

/** Routes with bodies of several types, and parsers of three types more than JSON. */
const ROUTES = `
  const order = { type: 'object', required: ['order'], properties: { order: { type: 'string' } } };
  const list = (...types) => Object.fromEntries(types.map((type) => [type, { schema: order }]));
  export default async (app) => {
    for (const type of ['application/xml', 'text/xml', 'text/csv'])
      app.addContentTypeParser(type, { parseAs: 'string' }, async (_request, text) => ({ text }));
    const both = { body: { content: list('application/json', 'application/xml') } };
    app.post('/both', { schema: both }, async ({ body }) => body);
    app.post('/xml', { schema: { body: { content: list('text/xml') } } }, async ({ body }) => body);
    const value = { type: ['object', 'null'] };
    const optional = { body: { content: { 'application/json': { schema: value } } } };
    app.delete('/optional', { schema: optional }, async ({ body }) => ({ body }));
    app.post('/any', async ({ body }) => ({ body }));
  };
`;

test('A body is refused if its type is not in the schema of the route', async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTES);
  const send = (url: string, type: string | undefined, payload = '{"order":"1"}') =>
    app.inject({ method: 'POST', url, payload, headers: type ? { 'content-type': type } : {} });
  t.strictSame((await send('/both', 'application/json')).json(), { order: '1' });
  t.equal((await send('/both', 'Application/JSON; charset=utf-8')).statusCode, 200);
  t.equal((await send('/both', 'application/json', '{}')).statusCode, 400);
  t.match((await send('/both', 'application/xml')).json(), { message: /required.*order/ });
  const message = 'The body must be application/json or application/xml.';
  for (const type of ['text/xml', 'text/csv'])
    t.match((await send('/both', type)).json(), { statusCode: 415, message });
  for (const [url, type] of [
    ['/both', undefined],
    ['/both', 'application/json'],
    ['/xml', undefined],
  ] as const)
    t.match((await send(url, type, '')).json(), {
      statusCode: 400,
      message: 'The body is missing.',
      errors: [{ path: '', in: 'body', message: 'is missing' }],
    });
  t.equal((await send('/xml', 'application/json')).statusCode, 415);
  t.equal((await send('/any', 'text/csv')).statusCode, 200);
  const remove = (options = {}) => app.inject({ method: 'DELETE', url: '/optional', ...options });
  t.equal((await remove()).statusCode, 200);
  t.equal((await remove({ payload: {} })).statusCode, 200);
});

test('A type that no body can have is an error that names the route', async (t) => {
  for (const type of ['*/*', 'text/*', 'Application/JSON', 'application/json; charset=utf-8']) {
    const schema = { body: { content: { [type]: { schema: { type: 'object' } } } } };
    const code = `export default async (app) => {
      app.post('/things', { schema: ${JSON.stringify(schema)} }, async () => ({}));
    };`;
    const error = await buildAppWithRoutes(t, code).catch((error) => error);
    t.ok(error.message.startsWith(`POST /things: no body has the type "${type}"`), type);
  }
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
    get('/free', { 201: hal }, async () => ({ id: 1 }));
    get('/own', { 200: hal }, (_request, reply) =>
      reply.type('text/csv').serializer(({ id }) => 'id ' + id).send({ id: 1 }));
    get('/text', { 200: hal }, async () => 'id 1');
    get('/unlisted', { 200: hal }, send());
    get('/problem', { 200: hal }, send('application/problem+json'));
    get('/class', { '2XX': hal, default: shown }, send());
    get('/default', { default: hal, 404: shown }, send());
    get('/refused', { '4xx': hal }, send('application/json', 403));
    get('/hidden', { 200: { content: { 'text/csv': { schema: { type: 'string' } } } } }, send());
  };
`;

test('JSON whose type is not in the schema of the answer is a 500, not sent whole', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ANSWERS);
  for (const name of ['json', 'charset', 'hal', 'any', 'other', 'free'])
    t.strictSame((await app.inject(`/${name}`)).json(), { id: 1 }, name);
  for (const name of ['own', 'text']) t.equal((await app.inject(`/${name}`)).body, 'id 1', name);
  for (const name of ['unlisted', 'problem', 'class', 'default', 'hidden']) {
    const answer = await app.inject(`/${name}`);
    t.match(answer.json(), { statusCode: 500, code: 'INTERNAL_SERVER_ERROR' }, name);
    t.match(lines.at(-1), { err: { message: /^The content of .* has no application\/.*json$/ } });
  }
  // The route has chosen this status.
  t.match((await app.inject('/refused')).json(), { statusCode: 403, code: 'FORBIDDEN' });
});
