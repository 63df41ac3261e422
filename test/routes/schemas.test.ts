import { test } from 'tap';
import { buildTestApp } from '../helper.ts';

test('The schemas of all routes can be compiled', async (t) => {
  const app = await buildTestApp(t);
  await t.resolves(app.compileSchemas());
});
