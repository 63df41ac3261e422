import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'tap';
import { lockFolder } from '../../../plugins/database/embedded-folder.ts';
import { createFolder } from '../../helper.ts';

/** Locks the folder when all have started; one that has it keeps it until all have tried. */
const LOCK = `
  import { setTimeout as sleep } from 'node:timers/promises';
  const { lockFolder } = await import('${import.meta.resolve('../../../plugins/database/embedded-folder.ts')}');
  const [folder, startAt] = process.argv.slice(1);
  await sleep(startAt - Date.now());
  await lockFolder(folder).then(() => console.log('locked'), ({ message }) => console.log(message));
  await sleep(2_000);`;

const STALE = { 'the lock of a process that is no more': '4194305', 'no lock': undefined };

for (const [title, lock] of Object.entries(STALE)) {
  test(`Of processes that start at once with ${title}, one opens the database`, async (t) => {
    const parent = await createFolder(t);
    const folder = path.join(parent, 'data');
    if (lock) await writeFile(`${folder}.lock`, lock);
    const args = ['--input-type=module', '-e', LOCK, folder, `${Date.now() + 3_000}`];
    const said = await Promise.all(
      [1, 2, 3, 4].map(() => text(spawn(process.execPath, args).stdout)),
    );
    t.equal(said.filter((line) => line === 'locked\n').length, 1, said.join());
    const refused = said.filter((line) => line !== 'locked\n');
    for (const line of refused)
      t.match(line, /^(Process \d+ has|Another process is about to open) the embedded database/);
    t.strictSame(await readdir(parent), [], 'the lock ends with its process');
  });
}

test('A lock that another process is about to take is not taken', async (t) => {
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

test('A lock that cannot be written is told with the reason', async (t) => {
  const folder = path.join(await createFolder(t), 'a'.repeat(250));
  await t.rejects(lockFolder(folder), { code: 'ENAMETOOLONG' });
  t.notOk(existsSync(`${folder}.lock`));
});
