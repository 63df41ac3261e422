import { test } from 'tap';
import { openPostgresPort } from '../../fixture/postgres-port.ts';
import { buildTestApp, captureLog } from '../../helper.ts';

test('release prepares the database for libraries after the migrations', async (t) => {
  const { url } = await openPostgresPort(t);
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, { DATABASE_URL: url, DATABASE_POOL_MAX: '1' }, { logger });
  app.prepareDatabase(async (driver) => {
    t.ok('pool' in driver);
    return ['a step'];
  });
  const applied = await app.readiness.release();
  t.equal(applied.at(-1), 'a step');
  t.match(lines.at(-1)?.msg, /a step$/);

  await t.test('A step that a pooler refuses names DATABASE_DIRECT_URL', async (t) => {
    app.prepareDatabase(async () =>
      Promise.reject(Object.assign(new Error('no transactions'), { code: '08P01' })),
    );
    await t.rejects(app.readiness.release(), /^no transactions\. .*DATABASE_DIRECT_URL/);
  });
});
