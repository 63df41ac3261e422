// The platform's contract, with real processes: each way to start, to stop, to log and to build,
// npm run dev, npm run new and the twelve factors
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import type { Tally } from '../tally.ts';

const ROOT = path.join(import.meta.dirname, '../..');

/** Of the same form as those of test/: `npm test -- proof/contract/stop.test.ts` runs one. */
const TESTS = 'proof/contract/*.test.ts';

export async function prove(tally: Tally): Promise<void> {
  for (const command of [
    'npm run build',
    `node scripts/build-tap.ts && tap --disable-coverage ${TESTS}`,
  ])
    await tally.check(command, () => run(command));
}

/** What it says is for who reads. */
function run(command: string): void {
  const { status } = spawnSync(command, { cwd: ROOT, stdio: 'inherit', shell: true });
  if (status !== 0) throw new Error(`It ended with ${status}`);
}
