import { globSync } from 'node:fs';
import path from 'node:path';
import { test } from 'tap';
import { listMigrations } from '../../../plugins/database/migration-files.ts';
import { createFolder, ROOT, writeFiles } from '../../helper.ts';

test('Each migration of the app has a unique number at the start of its name', (t) => {
  const files = globSync('src/migrations/*', { cwd: ROOT });
  const names = files.map((file) => path.parse(file).name.toLowerCase());
  t.strictSame([...new Set(names)], names);
  for (const name of names) t.match(name, /^(\d{4}|\d{8}t\d{6})-[a-z0-9-]+$/, name);
  t.end();
});

test('A folder of migrations may hold other files', async (t) => {
  const folder = await createFolder(t);
  const others = ['a.js.map', 'a.d.ts', '.#b.ts', '.b.ts.swp', 'b.ts~', 'README.md', 'b.sql'];
  const files = ['a.js', 'b.ts', 'c.mjs', 'd.cts', ...others];
  await writeFiles(folder, Object.fromEntries(files.map((file) => [file, ''])));
  t.strictSame([...(await listMigrations(folder)).keys()].sort(), ['a', 'b', 'c', 'd']);
});
