import { test } from 'tap';
import { Type } from 'typebox';
import { Definitions } from '../../plugins/docs/definitions.ts';
import { buildAppWithRoutes } from '../helper.ts';

const TREE = Type.Cyclic(
  { Tree: Type.Object({ name: Type.String(), kids: Type.Array(Type.Ref('Tree')) }) },
  'Tree',
);

const ROUTES = `
  const Tree = ${JSON.stringify(TREE)};
  export default async (app) => {
    const handler = async () => ({});
    app.post('/tree', { schema: { body: Tree, response: { 200: Tree } } }, handler);
    const $defs = { Part: { type: 'object', properties: { x: { type: 'string' } } } };
    const Whole = { type: 'object', $defs, properties: { part: { $ref: '#/$defs/Part' } } };
    app.post('/whole', { schema: { body: Whole } }, handler);
    const open = { type: 'object', additionalProperties: { type: 'string' } };
    app.get('/open', { schema: { querystring: open } }, handler);
    const record = { type: 'object', patternProperties: { '^.*$': { type: 'string' } } };
    app.get('/record/:a', { schema: { querystring: record, headers: record } }, handler);
    const content = { 'application/json': { schema: Tree, example: { items: [1] } } };
    const created = { 201: { content } };
    app.post('/content', { schema: { body: { content }, response: created } }, handler);
    app.addSchema({ $id: 'Pair', type: 'array', items: [{ type: 'string' }, { $ref: 'Item#' }] });
    app.get('/shared-pair', { schema: { response: { default: { $ref: 'Pair#' } } } }, handler);
    const { Part } = $defs;
    const page = { $defs: { Page: { ...Part, $id: 'Page' } }, $ref: 'Page' };
    app.get('/page', { schema: { querystring: page } }, handler);
    const id = { type: 'object', properties: { id: { $ref: '#/$defs/Id' } } };
    const params = { $defs: { Key: id, Id: { type: 'integer' } }, $ref: '#/$defs/Key' };
    app.get('/keys/:id', { schema: { params } }, handler);
    app.get('/optional/:a?', { schema: {} }, handler);
    app.get('/plain', handler);
    const both = { type: 'object', allOf: [{ type: 'object', properties: { a: {} } }] };
    app.get('/both', { schema: { querystring: both } }, handler);
    app.all('/all', { schema: {} }, handler);
    const pair = { type: 'array', items: [{ type: 'string' }], additionalItems: false };
    app.post('/pair', { schema: { body: pair } }, handler);
    app.addSchema({ $id: 'Item', type: 'object', properties: { shared: { type: 'string' } } });
    app.get('/shared', { schema: { response: { 200: { $ref: 'Item#' } } } }, handler);
    const examples = [{ items: [1, 2] }];
    const define = (type) => ({
      type: 'object',
      definitions: { Item: { type } },
      properties: { item: { $ref: '#/definitions/Item' } },
      examples,
    });
    const response = { 200: define('number') };
    app.post('/items', { schema: { body: define('string'), response } }, handler);
  };
`;

test("GET /openapi.json has an owner's definitions, tuples and parameters", async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTES);
  const text = (await app.inject('/openapi.json')).body;
  const { paths, components } = JSON.parse(text);
  for (const [, name = ''] of text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g))
    t.ok(components.schemas[name], name);
  t.notMatch(text, /\$defs|"\$id"/);
  const read = (path: string) => paths[path].post.requestBody.content['application/json'].schema;
  t.strictSame(read('/tree'), { $ref: '#/components/schemas/Tree' });
  t.match(components.schemas.Tree.properties.kids.items, { $ref: '#/components/schemas/Tree' });
  const listNames = (path: string) =>
    paths[path].get.parameters.map(({ name, in: part }: Record<string, string>) => [name, part]);
  t.strictSame(listNames('/page'), [['x', 'query']]);
  t.strictSame(listNames('/keys/{id}'), [['id', 'path']]);
  t.match(read('/whole').properties.part, { $ref: '#/components/schemas/Part' });
  t.match(read('/pair'), { prefixItems: [{ type: 'string' }], items: false });
  for (const path of ['/open', '/plain']) t.notOk(paths[path].get.parameters);
  t.match(paths['/record/{a}'].get.parameters, [{ name: 'a', in: 'path' }]);
  t.equal(paths['/record/{a}'].get.parameters.length, 1);
  t.match(paths['/both'].get.parameters, [{ name: 'a', in: 'query' }]);
  const { requestBody: sent, responses: answered } = paths['/content'].post;
  for (const { content } of [sent, answered['201']])
    t.strictSame(content['application/json'].schema, { $ref: '#/components/schemas/Tree' });
  t.strictSame(answered['201'].content['application/json'].example, { items: [1] });
  t.match(components.schemas.Pair.prefixItems, [{ type: 'string' }, { $ref: /schemas\/Item$/ }]);
  const listStatuses = (path: string) => Object.keys(paths[path].get.responses);
  t.strictSame(listStatuses('/plain'), ['200', '4XX', '5XX']);
  t.strictSame(listStatuses('/shared-pair'), ['4XX', '5XX', 'default']);
  const shared = paths['/shared'].get.responses['200'].content['application/json'].schema;
  t.match(components.schemas[shared.$ref.split('/').at(-1)].properties, { shared: {} });
  const { requestBody, responses } = paths['/items'].post;
  for (const [part, type] of [
    [requestBody, 'string'],
    [responses['200'], 'number'],
  ]) {
    const { schema, example } = part.content['application/json'];
    t.match(components.schemas[schema.properties.item.$ref.split('/').at(-1)], { type });
    t.strictSame(example, { items: [1, 2] });
  }
  t.match(paths['/optional/{a}'].get.parameters, [{ name: 'a', in: 'path' }]);
  t.ok(paths['/all'].post);
  t.notOk(paths['/all'].query);
});

test('A schema may be true, and an answer have none', (t) => {
  const convert = (schema: object) => new Definitions().convert(schema);
  t.strictSame(convert({ querystring: true, body: true }), {
    querystring: { properties: {} },
    body: true,
  });
  t.strictSame(convert({ response: { 204: null } }), { response: { 204: null } });
  t.end();
});

test('Names of properties are not keywords', (t) => {
  const properties = { $ref: { type: 'string' }, items: { type: 'array', items: {} }, $defs: {} };
  const body = { type: 'object', properties };
  t.strictSame(new Definitions().convert({ body }), { body });
  t.end();
});

test('Two schemas with one name have two names in the document', (t) => {
  const definitions = new Definitions();
  const convert = (type: string) =>
    definitions.convert({ body: { $defs: { Part: { type } }, $ref: '#/$defs/Part' } });
  t.strictSame(convert('string'), { body: { $ref: '#/components/schemas/Part' } });
  t.strictSame(convert('number'), { body: { $ref: '#/components/schemas/Part-2' } });
  t.strictSame(convert('string'), { body: { $ref: '#/components/schemas/Part' } });
  t.strictSame(definitions.schemas, { Part: { type: 'string' }, 'Part-2': { type: 'number' } });
  t.end();
});
