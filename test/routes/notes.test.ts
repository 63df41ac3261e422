import { test } from 'tap';
import { createEmbeddedDatabase } from '../fixture/embedded-database.ts';
import { buildTestApp } from '../helper.ts';
import { testNotes } from './notes-suite.ts';

test('On the embedded database', async (t) => {
  // The suite sends more requests than the default rate limit allows.
  const DATABASE_URL = `pglite:${await createEmbeddedDatabase()}`;
  await testNotes(t, await buildTestApp(t, { DATABASE_URL, RATE_LIMIT_MAX: '0' }));
});
