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

test('A body may be missing only if the validator of the route says so', async (t) => {
  const { app } = await buildAppWithRoutes(
    t,
    `
      const schema = { body: { content: { 'application/json': { schema: { type: 'object' } } } } };
      // As Joi and yup do.
      const refuse = (value) => (value ? { value } : { error: new Error('missing') });
      export default async (app) => {
        app.post('/required', { schema, validatorCompiler: () => refuse }, async () => 1);
        app.post('/optional', { schema, validatorCompiler: () => () => ({}) }, async () => 1);
      };
    `,
  );
  for (const [url, status] of Object.entries({ '/required': 400, '/optional': 200 }))
    t.equal((await app.inject({ method: 'POST', url })).statusCode, status, url);
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
