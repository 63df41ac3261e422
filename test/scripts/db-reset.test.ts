import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'tap';
import { createFolder, ROOT } from '../helper.ts';
import { holdLock } from '../plugins/database/hold-lock.ts';

function reset(DATABASE_URL: string) {
  const script = path.join(ROOT, 'scripts/db-reset.ts');
  return spawnSync(process.execPath, [script], {
    encoding: 'utf8',
    env: { ...process.env, DATABASE_URL },
  });
}

test('npm run db:reset moves the embedded database aside', async (t) => {
  const parent = await createFolder(t);
  const folder = path.join(parent, 'data');
  await mkdir(folder);
  t.match(reset(`pglite:${folder}`), { status: 0, stdout: /data is now .*data-\d{8}T\d{6}/ });
  t.match(readdirSync(parent).sort(), [/^data-\d{8}T\d{6}$/, 'data.lock', 'data.lock.db']);
  t.match(reset(`pglite:${folder}`), { status: 1, stderr: /nothing is done/ });
});

test('npm run db:reset accepts a folder with a slash at its end', async (t) => {
  const parent = await createFolder(t);
  await mkdir(path.join(parent, 'data'));
  t.match(reset(`pglite:${parent}/data/`), { status: 0, stdout: /data is now .*data-\d{8}T/ });
  t.match(readdirSync(parent).sort(), [/^data-\d{8}T\d{6}$/, 'data.lock', 'data.lock.db']);
});

test('npm run db:reset beside a running process refuses and says to stop it', async (t) => {
  const parent = await createFolder(t);
  const folder = path.join(parent, 'data');
  await mkdir(folder);
  await holdLock(t, folder);
  t.match(reset(`pglite:${folder}`), { status: 1, stderr: /Stop that process first/ });
  t.ok(readdirSync(parent).includes('data'));
});

test('npm run db:reset refuses any other database', (t) => {
  for (const url of ['', 'pglite:memory', 'postgres://u:p@localhost/app'])
    t.match(reset(url), { status: 1, stderr: /not an embedded database in a folder/ });
  t.end();
});
