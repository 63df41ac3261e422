import Fastify from 'fastify';
import { sql } from 'kysely';
import { test } from 'tap';
import database from '../../../plugins/database/index.ts';
import env from '../../../plugins/env/index.ts';
import errors from '../../../plugins/errors/index.ts';
import readiness from '../../../plugins/readiness.ts';
import { openPostgresPort } from '../../fixture/postgres-port.ts';
import { captureLog, createFolder, endAfter, poll, REQUIRED, writeFiles } from '../../helper.ts';

const CATS =
  "export const up = (db) => db.schema.createTable('cats').addColumn('id', 'uuid').execute();";

test('Readiness names a pending migration and is down until a release applies it', async (t) => {
  const { url } = await openPostgresPort(t);
  const environment = {
    ...REQUIRED,
    DATABASE_URL: url,
    DATABASE_POOL_MAX: '1',
    REQUEST_TIMEOUT_MS: '600000',
  };
  const migrations = await createFolder(t);
  await writeFiles(migrations, { '0001-cats.mjs': CATS });
  const { logger, lines } = captureLog();
  const app = Fastify({ loggerInstance: logger });
  endAfter(t, () => app.close());
  await app.register(env, { environment });
  for (const plugin of [errors, readiness]) await app.register(plugin);
  await app.register(database, { migrations });
  // The first query may take longer than a readiness check waits.
  await sql`select 1`.execute(app.db);
  t.match(await app.readiness.report(), { status: 'unavailable' });
  t.match(lines.at(-1), {
    msg: 'database is down',
    err: { message: 'Migrations are pending: 0001-cats. Run npm run release.' },
  });
  t.strictSame(await app.readiness.release(), ['0001-cats']);
  await poll(async () => (await app.readiness.report()).status === 'ready');
  t.match(lines.slice(-2), [{ msg: 'Applied 0001-cats' }, { msg: 'database is back' }]);
  const alone = `export const transaction = false;\n${CATS.replace('cats', 'dogs')}`;
  await writeFiles(migrations, { '0002-dogs.mjs': alone });
  t.strictSame(await app.readiness.release(), ['0002-dogs']);
});
