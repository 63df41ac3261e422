import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, watch } from 'node:fs';
import path from 'node:path';
import './build-tap.ts';
import { findConcerned } from './test/concerned.ts';

/* `npm run test:watch`: after each change, runs the tests of the changed files. */

const FOLDERS = ['src', 'plugins', 'routes', 'jobs', 'scripts', 'test'];

/** How long to wait for more changes, in milliseconds: an editor's save makes several. */
const SETTLE_MS = 50;

const changed = new Set<string>();
let running: ChildProcess | undefined;
let timer: NodeJS.Timeout | undefined;

for (const folder of FOLDERS.filter((name) => existsSync(name)))
  watch(folder, { recursive: true }, (_event, file) => file && note(path.posix.join(folder, file)));

console.log(`Watching ${FOLDERS.join(', ')}: a change runs the tests that it concerns.`);

function note(file: string): void {
  if (!file.endsWith('.ts')) return;
  changed.add(file);
  clearTimeout(timer);
  timer = setTimeout(runTests, SETTLE_MS);
}

/** Stops the tests of an earlier change. */
async function runTests(): Promise<void> {
  const files = [...changed];
  changed.clear();
  const tests = findConcerned(files);
  if (tests.length === 0) return console.log(`No test concerns ${files.join(', ')}.`);
  if (running?.exitCode === null) {
    running.kill();
    await once(running, 'exit');
  }
  running = spawn(process.execPath, ['scripts/test.ts', ...tests], { stdio: 'inherit' });
}
