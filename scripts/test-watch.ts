import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import './build-tap.ts';
import { onParentEnd } from './dev/parents.ts';
import { catchLimits, isTemporary, watchFolders } from './dev/watch-folder.ts';
import { findConcerned } from './test/concerned.ts';

/* `npm run test:watch`: after each change, runs the tests of the changed files. */

const FOLDERS = ['src', 'plugins', 'routes', 'jobs', 'scripts', 'test'];

/** How long to wait for more changes, in milliseconds: an editor's save makes several. */
const SETTLE_MS = 50;

const changed = new Set<string>();
let running: ChildProcess | undefined;
let timer: NodeJS.Timeout | undefined;

catchLimits(fail);
watchFolders(FOLDERS, note, fail);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit());
process.on('exit', endTests);
onParentEnd(() => process.exit());

console.log(`Watching ${FOLDERS.join(', ')}: a change runs the tests that it concerns.`);

function fail(reason: string): never {
  console.error(`${reason} Until then, run the tests of a file by hand: npm test -- FILE`);
  process.exit(1);
}

function note(file: string): void {
  const isInFolder = FOLDERS.some((folder) => file.startsWith(folder + path.sep));
  if (!isInFolder || !path.extname(file) || isTemporary(file)) return;
  changed.add(file);
  clearTimeout(timer);
  timer = setTimeout(runTests, SETTLE_MS);
}

function runTests(): void {
  const files = [...changed];
  changed.clear();
  const tests = findConcerned(files);
  if (tests.length === 0) console.log(`No test concerns ${files.join(', ')}.`);
  else startTests(tests);
}

/** Ends the tests of an earlier change first. */
function startTests(tests: string[]): void {
  endTests();
  running = spawn(process.execPath, ['scripts/test.ts', ...tests], {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
}

/** Kills the tests with the processes that they started: a group of their own. */
function endTests(): void {
  try {
    if (running?.pid) process.kill(-running.pid, 'SIGKILL');
  } catch {
    // They have ended, or this is Windows, which has no groups.
    running?.kill();
  }
}
