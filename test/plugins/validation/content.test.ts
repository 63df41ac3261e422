import { test } from 'tap';
import { buildAppWithRoutes } from '../../helper.ts';

/** Two routes with bodies of several types, and parsers of three types more. */
const ROUTES = `
  const order = { type: 'object', required: ['order'], properties: { order: { type: 'string' } } };
  const list = (...types) => Object.fromEntries(types.map((type) => [type, { schema: order }]));
  export default async (app) => {
    for (const type of ['application/xml', 'text/xml', 'text/csv'])
      app.addContentTypeParser(type, { parseAs: 'string' }, async (_request, text) => ({ text }));
    const both = { body: { content: list('application/json', 'application/xml') } };
    app.post('/both', { schema: both }, async ({ body }) => body);
    app.post('/xml', { schema: { body: { content: list('text/xml') } } }, async ({ body }) => body);
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
    t.equal((await send(url, type, '')).statusCode, 415, 'no body');
  t.equal((await send('/xml', 'application/json')).statusCode, 415);
  t.equal((await send('/any', 'text/csv')).statusCode, 200);
});
