import { test } from 'tap';
import { openPostgresPort } from '../../fixture/postgres-port.ts';
import { buildTestApp, captureLog, poll } from '../../helper.ts';

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

test('The database is not ready while a step has work to do', async (t) => {
  const { url } = await openPostgresPort(t);
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, { DATABASE_URL: url, DATABASE_POOL_MAX: '1' }, { logger });
  let missing = ['a table'];
  app.prepareDatabase(
    async () => missing.splice(0),
    async () => missing,
  );
  const readStatus = async () => (await app.readiness.report()).services.database?.status;
  await app.readiness.release();
  missing = ['a table'];
  t.equal(await readStatus(), 'down');
  const message = 'Migrations are pending: a table. Run npm run release.';
  t.match(lines.at(-1), { level: 40, err: { message } });
  await app.readiness.release();
  await poll(async () => (await readStatus()) === 'up');
});
