import { test } from 'tap';
import { buildAppWithRoutes } from '../../helper.ts';

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
  for (const name of ['own', 'text']) t.equal((await app.inject(`/${name}`)).body, 'id 1', name);
  for (const name of ['unlisted', 'problem', 'class', 'default', 'hidden', 'status']) {
    const answer = await app.inject(`/${name}`);
    t.match(answer.json(), { statusCode: 500, code: 'INTERNAL_SERVER_ERROR' }, name);
    t.match(lines.at(-1), { err: { message: /^The route's response schemas have no / } });
  }
  t.equal((await app.inject('/nothing')).body, 'null');
  t.equal((await app.inject('/gone')).statusCode, 204);
  t.ok((await app.inject('/failed')).json().secret, 'no success is described for it');
  t.ok((await app.inject('/errors')).json().secret, 'no success is described');
  // The route has chosen this status.
  t.match((await app.inject('/refused')).json(), { statusCode: 403, code: 'FORBIDDEN' });
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
