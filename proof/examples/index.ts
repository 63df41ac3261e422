// The examples with real servers and clients: notes over Redis' protocol and XMPP, app behind app
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';
import type { Tally } from '../tally.ts';
import { installTools } from '../tools.ts';

const EXAMPLES = path.join(import.meta.dirname, '../../examples');

/** The time-out of a test, in milliseconds. */
const TEST_TIMEOUT_MS = 600_000;

/** The maximum length of a README. */
const MAX_README_LINES = 40;

/** Flags: the names of examples, to check these alone. */
export async function prove(tally: Tally, flags: string[]): Promise<void> {
  installTools(EXAMPLES);
  const names = globSync('*/README.md', { cwd: EXAMPLES, exclude: ['node_modules'] }).map((file) =>
    path.dirname(file),
  );
  assert(names.length > 0, 'there are no examples');
  for (const flag of flags) assert(names.includes(flag), `there is no example named ${flag}`);
  await tally.check('The examples have no compiler error', proveTypes);
  for (const name of names.filter((name) => flags.length === 0 || flags.includes(name)).sort()) {
    await tally.check(`${name}: the README is short`, () => proveLength(name));
    await tally.check(`${name}: all its tests pass`, () => proveTests(tally, name));
  }
}

function proveTypes(): void {
  const { status, stdout } = spawnSync('npx tsc -p .', {
    cwd: EXAMPLES,
    encoding: 'utf8',
    shell: true,
  });
  assert.equal(status, 0, stdout);
}

function proveLength(name: string): string {
  const { length } = readFileSync(path.join(EXAMPLES, name, 'README.md'), 'utf8')
    .trimEnd()
    .split('\n');
  assert(length <= MAX_README_LINES, `the README has ${length} lines`);
  return `${length} lines`;
}

/**
 * Runs each test as a check and prints its diagnostics.
 *
 * @returns the number of tests
 */
async function proveTests(tally: Tally, name: string): Promise<string> {
  const cwd = path.join(EXAMPLES, name);
  const files = globSync('*.test.ts', { cwd }).map((file) => path.join(cwd, file));
  let tests = 0;
  let succeeded = false;
  // No `cwd` here: the tests inherit the flags of npm run proof, which name a file of this folder.
  for await (const { type, data } of run({
    files,
    timeout: TEST_TIMEOUT_MS,
  }) as AsyncIterable<TestEvent>) {
    if (type === 'test:diagnostic' && data.file) console.log(`        ${data.message}`);
    if (type === 'test:summary' && !data.file) succeeded = data.success;
    // A suite counts only if one of its hooks failed.
    if (!isResult(type) || (data.details.type === 'suite' && !isHookFailure(data.details)))
      continue;
    tests += 1;
    await tally.check(`${name}: ${data.name}`, () => proveResult(type, data));
  }
  assert(tests > 0, 'there are no tests');
  assert(succeeded, 'some tests failed');
  return `${tests}`;
}

/** An event of node:test; each type has some of these fields. */
interface TestEvent {
  type: string;
  data: {
    name: string;
    file?: string;
    message: string;
    success: boolean;
    skip?: string | boolean;
    todo?: string | boolean;
    details: { type?: string; error?: Error & { failureType?: string } };
  };
}

function isResult(type: string): boolean {
  return type === 'test:pass' || type === 'test:fail';
}

function isHookFailure({ error }: TestEvent['data']['details']): boolean {
  return error !== undefined && error.failureType !== 'subtestsFailed';
}

function proveResult(type: string, { skip, todo, details: { error } }: TestEvent['data']): void {
  if (type === 'test:fail') throw error?.cause ?? error;
  assert(skip === undefined && todo === undefined, 'the test was skipped');
}
