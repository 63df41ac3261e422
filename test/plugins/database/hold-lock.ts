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
  const child = spawn(process.execPath, ['--input-type=module', '-e', HOLD, folder]);
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child.pid!;
}
