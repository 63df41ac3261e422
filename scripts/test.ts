import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import './build-tap.ts';
import { findTests, isBuildNeeded } from './test/files.ts';

/*
 * `npm test`: builds the app, then runs the whole suite, which has to cover every line.
 * `npm test -- FILE …` (paths, folders or globs) runs these tests alone, one after the other.
 */

/** As in .taprc: WebAssembly is not optimized, so that the embedded database opens faster. */
const NODE_ARGUMENTS = ['--liftoff-only'];

/** Types are checked by `npm run typecheck`: that takes six times as long as the build itself. */
const BUILD = 'npm run --silent build -- --noCheck';

/** What Node has compiled is kept: a file runs in three quarters of the time. */
const NODE_COMPILE_CACHE = 'node_modules/.cache/compile-cache';

/** A busy machine takes long. In seconds, as in .taprc. */
const TAP_TIMEOUT = '1200';

/** tap's lines about single assertions that passed, and about their number. */
const UNIMPORTANT = /^ *(ok \d+ - (?!.*# time=)|1\.\.\d+$|# Subtest|$)|^TAP version/;

const parameters = process.argv.slice(2);

if (parameters.every((parameter) => parameter.startsWith('-'))) runSuite(parameters);
else await runFiles(parameters).catch(exitWith);

/** Flags are tap's own. */
function runSuite(flags: string[]): void {
  run(BUILD);
  run(['tap', ...flags].join(' '));
}

async function runFiles(patterns: string[]): Promise<void> {
  const files = findTests(patterns);
  if (isBuildNeeded(files)) run(BUILD);
  for (const file of files) await runFile(file);
}

function exitWith({ message }: Error): never {
  console.error(message);
  process.exit(1);
}

/** Prints each test that ended, and whatever is said of one that failed. */
async function runFile(file: string): Promise<void> {
  const child = spawn(process.execPath, [...NODE_ARGUMENTS, file], {
    env: { NODE_COMPILE_CACHE, TAP_TIMEOUT, ...process.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  console.log(`# ${file}`);
  createInterface(child.stdout).on('line', (line) => UNIMPORTANT.test(line) || console.log(line));
  const [code] = await once(child, 'close');
  if (code !== 0) process.exitCode = 1;
}

function run(command: string): void {
  const { status } = spawnSync(command, { stdio: 'inherit', shell: true });
  if (status !== 0) process.exit(status ?? 1);
}
