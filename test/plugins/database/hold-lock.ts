import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Test } from 'tap';

const FILE = import.meta.resolve('../../../plugins/database/embedded-folder.ts');

const HOLD = `
  const { lockFolder } = await import('${FILE}');
  await lockFolder(process.argv[1]);
  console.log('locked');
  process.stdin.resume();`;

/**
 * Locks the folder of an embedded database in another process until the test ends.
 *
 * @returns the id of that process
 */
export async function holdLock(t: Test, folder: string): Promise<number> {
  const args = ['--input-type=module', '-e', HOLD, folder];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const fail = ([code]: number[]) => Promise.reject(new Error(`It ended with code ${code}`));
  await Promise.race([once(child.stdout, 'data'), once(child, 'exit').then(fail)]);
  return child.pid!;
}
