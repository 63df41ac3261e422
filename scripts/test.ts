import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readLines } from '../src/lines.ts';
import './build-tap.ts';
import { findTests, isBuildNeeded } from './test/files.ts';

/*
 * `npm test`: builds the app, then runs all tests, which must cover every line.
 * `npm test -- FILE …` (paths, folders or globs): runs only these tests, one after the other.
 */

/** As tap has them, for t.mockImport, and as in .taprc: it opens the embedded database faster. */
const NODE_ARGUMENTS = ['--import=@tapjs/mock/import', '--liftoff-only'];

/** `npm run typecheck` checks the types, which takes six times as long as the build itself. */
const BUILD = 'npm run --silent build -- --noCheck';

/** Node keeps compiled code here, so that a file runs in three quarters of the time. */
const NODE_COMPILE_CACHE = 'node_modules/.cache/compile-cache';

/** For a file, in seconds. Long, because busy machines are slow. An open handle waits for it. */
const TAP_TIMEOUT = '600';

/** tap's lines about passed assertions, and about the number of assertions. */
const UNIMPORTANT = /^ *(ok \d+ - (?!.*# time=)|1\.\.\d+$|# Subtest|$)|^TAP version/;

/** The lines of a file in which no test ran. */
const NO_TEST = /# SKIP filter: |^(TAP version|1\.\.|# |$)/;

const HINT =
  'For one test of a file: TAP_GREP="part of its title" npm test -- FILE. ' +
  "For one inside another, a line for each: TAP_GREP=$'/books\\nPOST /books'";

const parameters = process.argv.slice(2);
const flags = parameters.filter((parameter) => parameter.startsWith('-'));

if (flags.length === parameters.length) runSuite();
else await runFiles(parameters).catch(exitWith);

function runSuite(): void {
  run(BUILD);
  run(['tap', ...flags.map((flag) => JSON.stringify(flag))].join(' '));
}

async function runFiles(patterns: string[]): Promise<void> {
  if (flags.length > 0)
    throw new Error(
      `Flags work only without files. Write a value after "=": --reporter=terse. ${HINT}`,
    );
  const files = findTests(patterns);
  if (isBuildNeeded(files)) run(BUILD);
  let hasRun = false;
  for (const file of files) if (await runFile(file)) hasRun = true;
  if (!hasRun) throw new Error(`No test ran. ${HINT}`);
}

function exitWith({ message }: Error): never {
  console.error(message);
  process.exit(1);
}

/** Prints the result of each test, and all output of a failed one. Gives whether a test ran. */
async function runFile(file: string): Promise<boolean> {
  let hasRun = false;
  const child = spawn(process.execPath, [...NODE_ARGUMENTS, file], {
    env: { NODE_COMPILE_CACHE, TAP_TIMEOUT, ...process.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  console.log(`# ${file}`);
  readLines(child.stdout, (line) => {
    if (!NO_TEST.test(line)) hasRun = true;
    if (!UNIMPORTANT.test(line)) console.log(line);
  });
  const [code] = await once(child, 'close');
  if (code !== 0) process.exitCode = 1;
  return hasRun;
}

function run(command: string): void {
  const { status } = spawnSync(command, { stdio: 'inherit', shell: true });
  if (status !== 0) process.exit(status ?? 1);
}
