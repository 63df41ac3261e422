import { test } from 'tap';
import { readConfig } from '../../src/app.ts';

test('a valid environment gives defaults', async (t) => {
  const config = await readConfig({ DATABASE_URL: 'pglite:memory' });
  t.equal(config.PORT, 5000);
});
