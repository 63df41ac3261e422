import { test } from 'tap';
import { buildTestApp } from '../helper.ts';
import { testNotes } from '../routes/notes-suite.ts';
import { startPostgres } from './postgres-server.ts';

test('On a PostgreSQL server', async (t) => {
  const { url } = await startPostgres(t);
  await testNotes(t, await buildTestApp(t, { DATABASE_URL: url, RATE_LIMIT_MAX: '0' }));
});
