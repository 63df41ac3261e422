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
    app.head('/head', { schema: { response } }, async () => undefined);
  };
`;

test('A handler that returns nothing, where the schema has an answer, is a 500', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES);
  const forms = ['content', 'both', 'either', 'reference', 'number', 'class', 'CLASS', 'default'];
  for (const url of ['/missing', '/none', '/sent', ...forms.map((form) => `/${form}`)]) {
    lines.length = 0;
    const answer = await app.inject(url);
    t.equal(answer.statusCode, 500, url);
    t.match(answer.json(), { code: 'INTERNAL_SERVER_ERROR' });
    t.match(lines, [{ path: url, err: { message: /returned nothing.*is a return missing/ } }]);
  }
  const successes = { '/found': 200, '/later': 200, '/accepted': 202, '/free': 200 };
  const bodiless = { '/empty': 204, '/reset': 205, '/other': 304, '/refused': 403 };
  const statuses = { ...successes, ...bodiless };
  for (const [url, status] of Object.entries(statuses))
    t.equal((await app.inject(url)).statusCode, status, url);
  t.equal((await app.inject({ method: 'HEAD', url: '/head' })).statusCode, 200);
});

test('A handler that returns null, where the schema has no null, is a 500', async (t) => {
  const { app, lines } = await buildAppWithRoutes(t, ROUTES);
  for (const url of ['found', 'many', 'content', 'text'].map((name) => `/null/${name}`)) {
    lines.length = 0;
    t.equal((await app.inject(url)).statusCode, 500, url);
    t.match(lines, [{ path: url, err: { message: /returned null.*is a return missing/ } }]);
  }
  for (const name of ['orNull', 'any', 'free', 'accepted'])
    t.equal((await app.inject(`/null/${name}`)).body, 'null', name);
  t.equal((await app.inject('/null/refused')).statusCode, 403);
});
