// The platform contract: start, stop, log, build, npm run dev, npm run new, the twelve factors
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import type { Tally } from '../tally.ts';

const ROOT = path.join(import.meta.dirname, '../..');

/** Run one of these tests with `npm test -- proof/contract/stop.test.ts`. */
const TESTS = 'proof/contract/*.test.ts';

export async function prove(tally: Tally): Promise<void> {
  for (const command of [
    'npm run build',
    `node scripts/build-tap.ts && tap --disable-coverage ${TESTS}`,
  ])
    await tally.check(command, () => run(command));
}

function run(command: string): void {
  const { status } = spawnSync(command, { cwd: ROOT, stdio: 'inherit', shell: true });
  if (status !== 0) throw new Error(`The tests ended with ${status}`);
}
