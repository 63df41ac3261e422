import { test } from 'tap';
import { buildTestApp } from '../helper.ts';
import { testValues } from '../plugins/database/values-suite.ts';
import { startPostgres } from './postgres-server.ts';

test('PostgreSQL gives and takes the values of pg', async (t) => {
  const { url } = await startPostgres(t);
  // One connection, because the time zone is set for it.
  const app = await buildTestApp(t, { DATABASE_URL: url, DATABASE_POOL_MAX: '1' });
  await testValues(t, app);
});
