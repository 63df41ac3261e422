import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'tap';
import { lockFolder } from '../../../plugins/database/embedded-folder.ts';
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

const STALE = { 'the lock of a dead process': '4194305', 'no lock': undefined };

for (const [title, lock] of Object.entries(STALE)) {
  test(`One of four processes that start at once with ${title} opens the database`, async (t) => {
    const parent = await createFolder(t);
    const folder = path.join(parent, 'data');
    if (lock) await writeFile(`${folder}.lock`, lock);
    const args = ['--input-type=module', '-e', LOCK, folder];
    const children = [1, 2, 3, 4].map(() => spawn(process.execPath, args));
    const outputs = children.map(({ stdout }) => createInterface(stdout)[Symbol.asyncIterator]());
    const readLines = () => Promise.all(outputs.map(async (lines) => (await lines.next()).value));
    t.strictSame(new Set(await readLines()), new Set(['ready']));
    for (const { stdin } of children) stdin.write('lock');
    const said = await readLines();
    const ended = children.map((child) => once(child, 'exit'));
    for (const { stdin } of children) stdin.end();
    await Promise.all(ended);
    t.equal(said.filter((line) => line === 'locked').length, 1, said.join());
    const refused = said.filter((line) => line !== 'locked');
    for (const line of refused)
      t.match(line, /^(Process \d+ has|Another process is about to open) the embedded database/);
    t.strictSame(await readdir(parent), [], 'the lock ends with its process');
  });
}

test('A lock that another process is taking is refused', async (t) => {
  const folder = path.join(await createFolder(t), 'data');
  await writeFile(`${folder}.lock`, '4194305');
  await writeFile(`${folder}.lock.next`, `${process.ppid}`);
  await t.rejects(lockFolder(folder), {
    name: 'OperatorError',
    message:
      /^Another process is about to open .*data: try again\. .* remove .*data\.lock\.next\.$/,
  });
  t.equal(await readFile(`${folder}.lock`, 'utf8'), '4194305');
});

test('A lock that cannot be written fails with the reason', async (t) => {
  const folder = path.join(await createFolder(t), 'a'.repeat(250));
  await t.rejects(lockFolder(folder), { code: 'ENAMETOOLONG' });
  t.notOk(existsSync(`${folder}.lock`));
});
