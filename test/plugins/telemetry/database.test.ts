import { test } from 'tap';
import { startCollector } from '../../fixture/collector.ts';
import { createEmbeddedDatabase } from '../../fixture/embedded-database.ts';
import { buildAppWithRoutes } from '../../helper.ts';
import { attach, CLIENT, findSpan } from './attach.ts';

const ROUTES = `
  import { sql } from '${import.meta.resolve('kysely')}';
  export default async (app) => {
    app.get('/queried', async () => {
      await sql\`select 'it''s hunter2' as a, 4.2 as b, \${'hunter2'}::text as c\`.execute(app.db);
      await sql\`select E'it\\\\'s hunter2', $$hunter2$$, $a$it's hunter2$a$ -- hunter2\`.execute(app.db);
      await sql\`select id from only "public"."notes"\`.execute(app.db);
      await sql\`select \${'hunter2'}::uuid\`.execute(app.db).catch(() => undefined);
      await sql\`update nowhere set a = 'hunter2'\`.execute(app.db).catch(() => undefined);
      return {};
    });
  };`;

test('GET /queried: the text of its statements has no values', async (t) => {
  const collector = await startCollector(t);
  const DATABASE_URL = `pglite:${await createEmbeddedDatabase(t)}`;
  const environment = { ...attach(collector), DATABASE_URL };
  const { app } = await buildAppWithRoutes(t, ROUTES, environment);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  t.equal((await fetch(`${url}/queried`)).status, 200);
  await app.close();

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
  findSpan(collector, 'SELECT public.notes', CLIENT);
  t.notMatch(JSON.stringify(collector.spans), 'hunter2');
});
