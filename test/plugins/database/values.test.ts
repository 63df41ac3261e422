import { test } from 'tap';
import { createEmbeddedDatabase } from '../../fixture/embedded-database.ts';
import { buildTestApp } from '../../helper.ts';
import { testValues } from './values-suite.ts';

test('The embedded database gives and takes the values of pg', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: `pglite:${await createEmbeddedDatabase()}` });
  await testValues(t, app);
});
