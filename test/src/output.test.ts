import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { type Test, test } from 'tap';
import { createFolder } from '../helper.ts';

const OUTPUT = new URL('../../src/output.ts', import.meta.url).href;

const FULL_DISK = { skip: process.platform !== 'linux' && 'There is no /dev/full' };

/** Writes more than the buffer holds, and ends at a line on stdin. */
const WRITER = `
  import { once } from 'node:events';
  import { Output } from '${OUTPUT}';
  const output = new Output((lost) => output.write('lost ' + lost + '\\n'));
  for (let line = 0; line < 200; line++) output.write(('x'.repeat(99) + '\\n').repeat(500));
  const timer = setInterval(() => undefined, 1_000);
  await once(process.stdin, 'data');
  clearInterval(timer);
  output.write('the last line\\n');
  process.exit(0);
`;

/** Writes and ends without a turn of the event loop. */
const HASTY_WRITER = `
  import { Output } from '${OUTPUT}';
  const output = new Output((lost) => output.write('lost ' + lost + '\\n'));
  for (let line = 0; line < 200_000; line++) output.write('x'.repeat(99) + '\\n');
  output.write('the last line\\n');
  process.exit(0);
`;

function startWriter(t: Test, stdout: 'pipe' | number = 'pipe', code = WRITER) {
  const args = ['--input-type=module', '-e', code];
  const child = spawn(process.execPath, args, { stdio: ['pipe', stdout, 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  return { child, said: text(child.stderr!), closed: once(child, 'close') };
}

test('Lines that a slow reader loses are counted; all others are complete', async (t) => {
  const { child, closed, said } = startWriter(t);
  let read = '';
  const isAll = new Promise<void>((resolve) => {
    child.stdout!.setEncoding('utf8').on('data', (data) => {
      read += data;
      if (read.includes('lost')) resolve();
    });
  });
  await Promise.race([isAll, closed]);
  child.stdin!.write('end\n');
  t.strictSame(await closed, [0, null]);
  const lines = read.trimEnd().split('\n');
  t.equal(lines.pop(), 'the last line');
  const lost = Number(lines.pop()?.replace('lost ', ''));
  t.ok(lost > 0);
  t.equal(lines.length + lost, 100_000);
  t.strictSame([...new Set(lines)], ['x'.repeat(99)]);
  t.equal(await said, '');
});

test('A process whose stdout is not read still ends, with its last lines on stderr', async (t) => {
  const { child, said } = startWriter(t);
  child.stdout!.pause();
  child.stdin!.write('end\n');
  t.strictSame(await once(child, 'exit'), [0, null]);
  t.match(await said, /x{99}\n(lost \d+\n)?the last line\n$/);
});

test('Code that never yields loses no lines if stdout takes them', async (t) => {
  const file = path.join(await createFolder(t), 'log');
  const { closed, said } = startWriter(t, openSync(file, 'w'), HASTY_WRITER);
  t.strictSame(await closed, [0, null]);
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  t.equal(lines.length, 200_001);
  t.equal(lines.at(-1), 'the last line');
  t.equal(await said, '');
});

test('Code that never yields loses lines to a slow reader, but not the last one', async (t) => {
  const { child, closed } = startWriter(t, 'pipe', HASTY_WRITER);
  const read = await text(child.stdout!);
  t.strictSame(await closed, [0, null]);
  t.match(read, /^the last line$/m);
  const lost = Number(/^lost (\d+)$/m.exec(read)?.[1] ?? 0);
  t.equal(read.split('x\n').length - 1 + lost, 200_000);
});

test('A full disk does not end the process; the last lines go to stderr', FULL_DISK, async (t) => {
  const { child, closed, said } = startWriter(t, openSync('/dev/full', 'w'));
  child.stdin!.write('end\n');
  t.strictSame(await closed, [0, null]);
  t.match(await said, /x{99}\nlost \d+\nthe last line\n$/);
});

const TALKATIVE = `
  import { setTimeout as sleep } from 'node:timers/promises';
  import { Output } from '${OUTPUT}';
  new Output(() => undefined);
  for (let turn = 0; turn < 5; turn++) {
    console.log('a library');
    process.emitWarning('a warning ' + turn);
    await sleep(10);
  }
`;

test('A process whose output is full does not end at what a library says', FULL_DISK, async (t) => {
  const full = openSync('/dev/full', 'w');
  const args = ['--input-type=module', '-e', TALKATIVE];
  const child = spawn(process.execPath, args, { stdio: ['ignore', full, full] });
  t.teardown(() => child.kill('SIGKILL'));
  t.strictSame(await once(child, 'exit'), [0, null]);
});

test('A process whose stdout and stderr are full still ends', FULL_DISK, async (t) => {
  const full = openSync('/dev/full', 'w');
  const args = ['--input-type=module', '-e', WRITER];
  const child = spawn(process.execPath, args, { stdio: ['pipe', full, full] });
  t.teardown(() => child.kill('SIGKILL'));
  child.stdin!.write('end\n');
  t.strictSame(await once(child, 'exit'), [0, null]);
});
