import { test } from 'tap';
import { buildAppWithRoutes } from '../../helper.ts';

/** Schemas for each part of a request, some with $ref. */
const ROUTES = `
  const note = {
    type: 'object',
    required: ['title'],
    properties: {
      title: { type: 'string', minLength: 1, maxLength: 5 },
      color: { enum: ['red', 'blue'] },
      size: { anyOf: [{ const: 'small' }, { const: 2 }] },
      'a/b~c': { type: 'integer' },
      level: { enum: [null, 1, { a: 1 }] },
      codes: { type: 'array', items: { enum: Array.from({ length: 5_000 }, (_, code) => code) } },
      tree: { type: 'object', additionalProperties: { type: 'object' } },
      tags: { type: 'array', minItems: 2, items: { type: 'string' } },
      labels: { type: 'object', propertyNames: { pattern: '^[a-z]+$' } },
      author: {
        type: 'object',
        required: ['name', 'mail'],
        properties: { name: { type: 'string' }, mail: { type: 'string' } },
        additionalProperties: false,
      },
    },
    additionalProperties: false,
  };
  const page = {
    type: 'object',
    required: ['page'],
    properties: {
      page: { type: 'integer', maximum: 100 },
      price: { type: 'number' },
      text: { type: 'string' },
      flag: { type: 'boolean' },
      nothing: { type: 'null' },
      ids: { type: 'array', items: { type: 'integer' } },
      mixed: { anyOf: [{ type: 'integer' }, { enum: ['all'] }] },
      flag: { type: 'boolean' },
      maybe: { type: ['integer', 'null'] },
      'a/b~c': { type: 'array', items: { type: 'number' } },
    },
    additionalProperties: false,
  };
  const params = { type: 'object', properties: { id: { type: 'integer', minimum: 1 } } };
  const headers = {
    type: 'object',
    required: ['x-size'],
    properties: { 'x-size': { type: 'integer' } },
  };
  export default async (app) => {
    app.addSchema({ $id: 'page', ...page });
    app.addSchema({ $id: 'size', type: 'integer' });
    app.post('/note', { schema: { body: note } }, async ({ body }) => body);
    app.get('/page', { schema: { querystring: page } }, async ({ query }) => query);
    app.get('/shared', { schema: { querystring: { $ref: 'page#' } } }, async ({ query }) => query);
    const open = { type: 'object', properties: { size: { type: 'integer' } } };
    const other = { type: 'object', properties: { other: { type: 'integer' } } };
    const composed = { allOf: [page, other] };
    app.get('/composed', { schema: { querystring: composed } }, async ({ query }) => query);
    const referring = {
      type: 'object',
      required: ['page'],
      properties: { page: { $ref: '#/$defs/page' }, size: { $ref: 'size#' } },
      $defs: { page: { allOf: [{ type: 'integer' }, { maximum: 100 }] } },
    };
    app.get('/referring', { schema: { querystring: referring } }, async ({ query }) => query);
    app.get('/open', { schema: { querystring: open } }, async ({ query }) => query);
    app.get('/id/:id', { schema: { params } }, async ({ params }) => params);
    app.get('/size', { schema: { headers } }, async ({ headers }) => headers['x-size']);
  };
`;

const inBody = (path: string, message: string) => ({ path, in: 'body', message });

test('A 400 of a schema lists each problem', async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTES, { RATE_LIMIT_MAX: '0' });
  const post = (payload: object | string) =>
    app.inject({
      method: 'POST',
      url: '/note',
      payload,
      headers: { 'content-type': 'application/json' },
    });

  await t.test('A body answers 400 with each of its problems', async (t) => {
    const cases: [body: unknown, errors: object[]][] = [
      [{}, [inBody('', "must have required property 'title'")]],
      [null, [inBody('', 'must be object')]],
      [[], [inBody('', 'must be object')]],
      [{ title: 'a', colour: 1 }, [inBody('', 'must NOT have additional properties: colour')]],
      [
        { title: 'a', color: 'green' },
        [inBody('/color', 'must be equal to one of the allowed values: red, blue')],
      ],
      [
        { title: 'a', size: 'huge' },
        [
          inBody('/size', 'must be equal to constant: "small"'),
          inBody('/size', 'must be equal to constant: 2'),
          inBody('/size', 'must match a schema in anyOf'),
        ],
      ],
      [
        { title: 'a', level: 'x' },
        [inBody('/level', 'must be equal to one of the allowed values: null, 1, {"a":1}')],
      ],
      [{ title: 'a', 'a/b~c': 'x' }, [inBody('/a~1b~0c', 'must be integer')]],
      [
        { title: 'longer', tags: ['a', 1, 'b', null], author: { nick: 'x' } },
        [
          inBody('/title', 'must NOT have more than 5 characters'),
          inBody('/tags/1', 'must be string'),
          inBody('/tags/3', 'must be string'),
          inBody('/author', "must have required property 'name'"),
          inBody('/author', "must have required property 'mail'"),
          inBody('/author', 'must NOT have additional properties: nick'),
        ],
      ],
    ];
    for (const [body, errors] of cases) {
      const answer = await post(JSON.stringify(body));
      t.equal(answer.statusCode, 400);
      const { path, message } = errors[0] as Record<string, string>;
      t.match(answer.json(), { code: 'FST_ERR_VALIDATION', message: `body${path} ${message}` });
      t.same(new Set(answer.json().errors), new Set(errors), JSON.stringify(body));
    }
  });

  await t.test('An unknown property name is reported', async (t) => {
    const { errors } = (await post({ title: 'a', labels: { 'A b': 1 } })).json();
    t.match(errors, [{}, inBody('/labels', 'property name must be valid: A b')]);
  });

  await t.test(
    'A bad query, path or header answers 400 with the part of the request',
    async (t) => {
      const cases = [
        ['/page?page=x', { path: '/page', in: 'query', message: 'must be integer' }],
        ['/page', { path: '', in: 'query', message: "must have required property 'page'" }],
        ['/id/0', { path: '/id', in: 'path', message: 'must be >= 1' }],
        ['/size', { path: '', in: 'headers', message: "must have required property 'x-size'" }],
      ] as const;
      for (const [url, error] of cases) {
        const answer = await app.inject(url);
        t.equal(answer.statusCode, 400, url);
        t.strictSame(answer.json().errors, [error]);
      }
    },
  );

  await t.test('30,000 mistakes answer 20 problems', async (t) => {
    const names = Array.from({ length: 30_000 }, (_, index) => [`key-${index}`, 1]);
    const bodies = [
      { title: 'a', ...Object.fromEntries(names) },
      { title: 'a', tags: Array(30_000).fill(1) },
      { title: 'a', tags: Array(30_000).fill({}) },
      { ...Object.fromEntries(names), title: 'a' },
    ];
    for (const body of bodies) {
      const answer = await post(body);
      t.equal(answer.statusCode, 400);
      t.equal(answer.json().errors.length, 20);
      t.ok(answer.body.length < 5_000, `${answer.body.length} characters`);
      t.notMatch(answer.body, /required/, 'an existing field is not reported as missing');
    }
  });

  await t.test('One mistake after many valid values is the only one reported', async (t) => {
    const tags = [...Array(5_000).fill('a'), 1];
    for (const body of [
      { tags, title: 'a' },
      { title: 'a', tags },
    ]) {
      const answer = await post(body);
      t.strictSame(answer.json().errors, [inBody('/tags/5000', 'must be string')]);
    }
  });

  await t.test('Many allowed values are shortened, and a long path at a name', async (t) => {
    const answer = await post({ title: 'a', codes: Array(20).fill('x') });
    t.equal(answer.json().errors.length, 20);
    t.ok(answer.body.length < 10_000, `${answer.body.length} characters`);
    const { errors } = (await post({ title: 'a', tree: { ['x'.repeat(300)]: 1 } })).json();
    t.strictSame(errors, [inBody('/tree', 'must be object')]);
  });

  await t.test('A long property name is shortened', async (t) => {
    for (const body of [
      { title: 'a', ['x'.repeat(500_000)]: 1 },
      { title: 'a', labels: { ['X'.repeat(500_000)]: 1 } },
    ])
      t.ok((await post(body)).body.length < 2_000);
  });

  await t.test('A number in a query is decimal digits', async (t) => {
    const wrong = [
      ...['0x10', '1e2', '%205', '5%20', '+5', '%2B5', '5.0', '1.5', '', 'NaN', '0b1', '1_0', '٥'],
      ...['1&page=2', '9'.repeat(400), '-', '%0A5', 'true', 'null', 'Infinity', '5,'],
    ];
    for (const path of ['/page', '/shared', '/composed', '/referring']) {
      for (const text of wrong) {
        const answer = await app.inject(`${path}?page=${text}`);
        t.equal(answer.statusCode, 400, `${path}?page=${text}`);
        t.match(answer.json().errors, [{ path: '/page', in: 'query' }]);
      }
      for (const text of ['5', '-5', '0', '100'])
        t.strictSame((await app.inject(`${path}?page=${text}`)).json(), { page: Number(text) });
    }
    for (const text of ['0x10', '1e2', '+1', '.5', '1.'])
      t.equal((await app.inject(`/page?page=1&price=${text}`)).statusCode, 400, text);
    for (const text of ['10.00', '10.50', '7', '-0.5'])
      t.match((await app.inject(`/page?page=1&price=${text}`)).json(), { price: Number(text) });
    for (const list of ['ids=1&ids=0x10', 'ids=5.0', 'mixed=0x10', 'mixed=5.0', 'ids=1&ids='])
      t.equal((await app.inject(`/page?page=1&${list}`)).statusCode, 400, list);
    t.equal((await app.inject('/referring?page=1&size=5.0')).statusCode, 400);
    const words = await app.inject('/page?page=1&flag=true&nothing=');
    t.strictSame(words.json(), { page: 1, flag: true, nothing: null });
    for (const word of ['flag=yes', 'flag=1', 'nothing=null'])
      t.equal((await app.inject(`/page?page=1&${word}`)).statusCode, 400, word);
    const right = '/page?page=1&ids=1&ids=-2&mixed=all&text=0x10';
    t.strictSame((await app.inject(right)).json(), {
      page: 1,
      ids: [1, -2],
      mixed: 'all',
      text: '0x10',
    });
    t.strictSame((await app.inject('/page?page=1&mixed=7')).json(), { page: 1, mixed: 7 });
    for (const id of ['0x10', '1e2', '+5', '5.0', '%205'])
      t.equal((await app.inject(`/id/${id}`)).statusCode, 400, id);
  });

  await t.test('Values other than text are read from a query by the schema', async (t) => {
    const rows: [query: string, values: object][] = [
      ['flag=true&maybe=7', { flag: true, maybe: 7 }],
      ['flag=false&maybe=', { flag: false, maybe: null }],
      ['a%2Fb~c=1.5', { 'a/b~c': [1.5] }],
      ['a%2Fb~c=1&a%2Fb~c=2', { 'a/b~c': [1, 2] }],
    ];
    for (const [query, values] of rows)
      t.same((await app.inject(`/page?page=1&${query}`)).json(), { page: 1, ...values });
    for (const query of ['flag=1', 'flag=yes', 'flag=', 'maybe=null', 'a%2Fb~c=x'])
      t.equal((await app.inject(`/page?page=1&${query}`)).statusCode, 400, query);
  });

  await t.test('Names that every JavaScript object has are treated as unknown names', async (t) => {
    for (const name of ['__proto__[a]', 'constructor[prototype]', 'toString[]', 'hasOwnProperty'])
      t.equal((await app.inject(`/id/1?${name}=1`)).statusCode, 200, name);
    t.equal((await app.inject('/open?__proto__[size]=1&constructor=1')).statusCode, 200);
  });

  await t.test('A name with brackets answers 400', async (t) => {
    for (const name of ['page[]', 'page[0]', 'page[a]', 'page[', 'ids[]', 'ids%5B%5D']) {
      const answer = await app.inject(`/page?page=1&${name}=1`);
      t.equal(answer.statusCode, 400, name);
      t.match(answer.json().errors, [{ path: '', in: 'query' }]);
    }
    t.equal((await app.inject('/open?size[]=1')).statusCode, 400);
    t.strictSame((await app.inject('/open?other[]=1')).json(), { 'other[]': '1' });
  });
});

test('A 400 of a schema that a route compiles itself lists its problems', async (t) => {
  const { app } = await buildAppWithRoutes(
    t,
    `export default async (app) => {
      const error = [{ instancePath: '/title', message: 'is taken' }, { message: 'is odd' }];
      const validatorCompiler = () => () => ({ error });
      app.post('/own', { schema: { body: {} }, validatorCompiler }, async () => 'served');
    };`,
  );
  const answer = await app.inject({ method: 'POST', url: '/own', payload: {} });
  t.match(answer, { statusCode: 400 });
  t.strictSame(answer.json().errors, [
    { path: '/title', in: 'body', message: 'is taken' },
    { path: '', in: 'body', message: 'is odd' },
  ]);
});
