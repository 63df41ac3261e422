import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type Test, test } from 'tap';
import { lockFolder, readFolder } from '../../../plugins/database/embedded-folder.ts';
import { createFolder } from '../../helper.ts';

/** Locks the folder at a line on stdin, and keeps the lock until stdin ends. */
const FILE = import.meta.resolve('../../../plugins/database/embedded-folder.ts');

const LOCK = `
  import { once } from 'node:events';
  const { lockFolder } = await import('${FILE}');
  console.log('ready');
  await once(process.stdin, 'data');
  await lockFolder(process.argv[1]).then(
    () => console.log('locked'),
    ({ message }) => console.log(message),
  );
  await once(process.stdin, 'end');`;

/** Starts processes that lock the folder at once. Resolves with them and what each says. */
async function lockAtOnce(t: Test, folder: string, count: number) {
  const args = ['--input-type=module', '-e', LOCK, folder];
  const children = Array.from({ length: count }, () => spawn(process.execPath, args));
  t.teardown(() => children.map((child) => child.kill('SIGKILL')));
  const outputs = children.map(({ stdout }) => createInterface(stdout)[Symbol.asyncIterator]());
  const readLines = () => Promise.all(outputs.map(async (lines) => (await lines.next()).value));
  t.strictSame(new Set(await readLines()), new Set(['ready']));
  for (const { stdin } of children) stdin.write('lock');
  return { children, said: await readLines() };
}

const LEFTOVERS = { 'the lock of a dead process': '4194305', 'no lock': undefined };

for (const [title, lock] of Object.entries(LEFTOVERS)) {
  test(`One of four processes that start at once with ${title} opens the database`, async (t) => {
    const folder = path.join(await createFolder(t), 'data');
    if (lock) await writeFile(`${folder}.lock`, lock);
    const { children, said } = await lockAtOnce(t, folder, 4);
    t.equal(said.filter((line) => line === 'locked').length, 1, said.join());
    const refused = said.filter((line) => line !== 'locked');
    // The owner may not have written its id yet.
    for (const line of refused) t.match(line, /^Process \d* has the embedded database/);
    const owner = children[said.indexOf('locked')]!;
    await t.rejects(lockFolder(folder), {
      name: 'OperatorError',
      message: new RegExp(`^Process ${owner.pid} has the .*data open\\. .* Stop that process`),
    });
    const ended = children.map((child) => once(child, 'exit'));
    for (const { stdin } of children) stdin.end();
    await Promise.all(ended);
    await t.resolves(lockFolder(folder), 'the lock ends with its process');
  });
}

test('The lock of a killed process is free at once, in a folder of any name', async (t) => {
  const folder = path.join(await createFolder(t), 'Café ?#%41/données 1');
  const { children, said } = await lockAtOnce(t, folder, 1);
  t.strictSame(said, ['locked']);
  const ended = once(children[0]!, 'exit');
  children[0]!.kill('SIGKILL');
  await ended;
  await t.resolves(lockFolder(folder));
  t.equal(await readFile(`${folder}.lock`, 'utf8'), String(process.pid));
  t.strictSame(await readdir(path.dirname(folder)), ['données 1.lock', 'données 1.lock.db']);
});

test('A slash at the end of the folder in a URL is dropped', (t) => {
  t.equal(readFolder('pglite:.data/postgres/'), '.data/postgres');
  t.equal(readFolder('pglite:.data/postgres//'), '.data/postgres');
  t.equal(readFolder('pglite:/'), '/');
  t.end();
});

test('A lock that cannot be written fails with the reason', async (t) => {
  const parent = await createFolder(t);
  await t.rejects(lockFolder(path.join(parent, 'a'.repeat(255))), { code: 'ENAMETOOLONG' });
  await writeFile(path.join(parent, 'data.lock.db'), 'mine');
  await t.rejects(lockFolder(path.join(parent, 'data')), { message: 'file is not a database' });
});
