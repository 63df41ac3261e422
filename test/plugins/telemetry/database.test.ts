import { test } from 'tap';
import { describeStatement } from '../../../plugins/telemetry/database.ts';
import { startCollector } from '../../fixture/collector.ts';
import { createEmbeddedDatabase } from '../../fixture/embedded-database.ts';
import { buildAppWithRoutes, buildTestApp, DOWN } from '../../helper.ts';
import { attach, CLIENT, closeAfterSpans, findSpan } from './attach.ts';

const ROUTES = `
  import { sql } from '${import.meta.resolve('kysely')}';
  export default async (app) => {
    const onResponse = async () => {
      await sql\`delete from pg_temp.nothing\`.execute(app.db).catch(() => undefined);
    };
    app.get('/queried', { onResponse }, async () => {
      await sql\`select 'it''s hunter2' as a, 4.2 as b, \${'hunter2'}::text as c\`.execute(app.db);
      await sql\`select E'it\\\\'s hunter2', $$hunter2$$, $a$it's hunter2$a$ -- hunter2\`.execute(app.db);
      await sql\`select oid from only "pg_catalog"."pg_class"\`.execute(app.db);
      await sql\`select \${'hunter2'}::uuid\`.execute(app.db).catch(() => undefined);
      await sql\`update nowhere set a = 'hunter2'\`.execute(app.db).catch(() => undefined);
      return {};
    });
  };`;

test('GET /queried: recorded statements have no values', async (t) => {
  const collector = await startCollector(t);
  const DATABASE_URL = `pglite:${await createEmbeddedDatabase()}`;
  const environment = { ...attach(collector), DATABASE_URL };
  const { app } = await buildAppWithRoutes(t, ROUTES, environment);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  t.equal((await fetch(`${url}/queried`)).status, 200);
  await closeAfterSpans(app, collector, 6, CLIENT);

  t.match(findSpan(collector, 'SELECT', CLIENT).attributes, {
    'db.query.text': 'select ? as a, ? as b, $1::text as c',
  });
  const texts = collector.spans.map(({ attributes }) => attributes['db.query.text']);
  t.ok(texts.includes('select E?, ?, ? ?'), String(texts));
  const failed = findSpan(collector, 'UPDATE nowhere', CLIENT);
  t.match(failed.attributes, {
    'db.query.text': 'update nowhere set a = ?',
    'error.type': '42P01',
    'db.response.status_code': '42P01',
  });
  findSpan(collector, 'SELECT pg_catalog.pg_class', CLIENT);
  findSpan(collector, 'DELETE pg_temp.nothing', CLIENT);
  t.notMatch(JSON.stringify(collector.spans), 'hunter2');
});

/** Statements, their text without values, and the table in the name of their span. */
const STATEMENTS: [sql: string, text: string, table: string | undefined][] = [
  ['select /* a /* hunter2 */ hunter2 */ 1', 'select ?', undefined],
  ['select /* hunter2 */ a /* b */ from c', 'select ? a ? from c', 'c'],
  ['select /* hunter2', 'select ?', undefined],
  [
    'select extract(epoch from now()) from notes',
    'select extract(epoch from now()) from notes',
    'notes',
  ],
  ["select trim(both 'x' from a) from b", 'select trim(both ? from a) from b', 'b'],
  ['select a is distinct from b from c', 'select a is distinct from b from c', 'c'],
  ['select * from generate_series(1, 2)', 'select * from generate_series(?, ?)', undefined],
  ['select * from "a"."b" where c', 'select * from "a"."b" where c', 'a.b'],
  ["select E'a'\n 'b\\'hunter2' from c", 'select E? from c', 'c'],
  ['select $ä$ hunter2 $ä$ from c', 'select ? from c', 'c'],
  [
    'select * from lateral (select 1 from notes) a',
    'select * from lateral (select ? from notes) a',
    'notes',
  ],
  ['delete from laterals', 'delete from laterals', 'laterals'],
  ['delete from only notes', 'delete from only notes', 'notes'],
  ['insert into notes (a) values (1)', 'insert into notes (a) values (?)', 'notes'],
  ['insert into notes(a) values (1)', 'insert into notes(a) values (?)', 'notes'],
];

test('A statement is described by its text without values, and its first table', (t) => {
  for (const [sql, text, table] of STATEMENTS) {
    const described = describeStatement(sql);
    t.equal(described['db.query.text'], text);
    t.equal(described['db.collection.name'], table, sql);
  }
  for (const sql of ['/* app */ select 1', '(select 1)', "\n-- app\n select 'a'"])
    t.equal(describeStatement(sql)['db.operation.name'], 'SELECT', sql);
  t.end();
});

/** A route that publishes log events of Kysely: a successful and a failed query. */
const PUBLISHING = `
  import { channel } from 'node:diagnostics_channel';
  const queries = channel('kysely:query');
  export default async (app) => app.get('/published', async () => {
    const failure = Object.assign(new RangeError('without a code'), { stack: undefined });
    const event = { query: { sql: '' }, queryDurationMillis: 1 };
    queries.publish({ ...event, level: 'query' });
    queries.publish({ ...event, level: 'error', error: failure });
    return {};
  });`;

/** Database URLs, and the span's attributes of the server. */
const SERVERS: [url: string, name: string, attributes: Record<string, unknown>][] = [
  [
    'postgres://u:hunter2@127.0.0.1/app%20one',
    'app one',
    { 'server.address': '127.0.0.1', 'server.port': 5432, 'db.namespace': 'app one' },
  ],
  ['postgres://u:hunter2@/app?host=/nowhere', 'postgresql', { 'server.address': undefined }],
  ['postgres://u:hunter2@db/app?host=/nowhere', 'postgresql', { 'server.address': undefined }],
];

for (const [DATABASE_URL, name, attributes] of SERVERS)
  test(`GET /published: the span of a query of ${name} names its server`, async (t) => {
    const collector = await startCollector(t);
    const environment = { ...attach(collector), DATABASE_URL };
    const { app } = await buildAppWithRoutes(t, PUBLISHING, environment);
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    t.equal((await fetch(`${url}/published`)).status, 200);
    const spans = await closeAfterSpans(app, collector, 2, CLIENT);
    t.match(spans, [
      { name, attributes, status: {} },
      { name, attributes: { ...attributes, 'error.type': 'RangeError' }, status: { code: 2 } },
    ]);
    t.notMatch(JSON.stringify(collector.spans), 'hunter2');
  });

test('Metrics describe the database pool', async (t) => {
  const collector = await startCollector(t);
  const app = await buildTestApp(t, { ...attach(collector), DATABASE_URL: DOWN });
  await app.ready();
  await closeAfterSpans(app, collector, 0);
  const find = (name: string) => collector.metrics.find((metric) => metric.name === name);
  const connections = find('db.client.connection.count');
  t.match(connections, { unit: '{connection}', points: [{ asInt: Number }, { asInt: Number }] });
  t.match(find('db.client.connection.pending_requests'), { unit: '{request}' });
});
