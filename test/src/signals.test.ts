import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'tap';
import { REQUIRED } from '../helper.ts';

/** Runs code; `src/` in it is replaced by the real URL. */
async function run(code: string) {
  const source = code.replaceAll('src/', new URL('../../src/', import.meta.url).href);
  const env = { ...process.env, ...REQUIRED, PORT: '0' };
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], { env });
  const [stdout, stderr, [end]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { stdout, stderr, end };
}

test('A stop signal during the boot ends the process with 0; SIGUSR1 does nothing', async (t) => {
  const { stderr, end } = await run(`
    import 'src/signals.ts';
    process.kill(process.pid, 'SIGUSR1');
    setTimeout(() => process.kill(process.pid, 'SIGTERM'), 200);
    setTimeout(() => process.exit(2), 60_000);
  `);
  t.equal(end, 0);
  t.equal(stderr, '');
});

test('An uncaught exception during the boot is logged; the exit code is 1', async (t) => {
  const { stdout, end } = await run(`
    import { startProcess } from 'src/process.ts';
    setImmediate(() => { throw new Error('too early'); });
    await startProcess(() => undefined);
  `);
  t.equal(end, 1);
  t.match(stdout, /"level":60.*"message":"too early".*Uncaught exception/);
});
