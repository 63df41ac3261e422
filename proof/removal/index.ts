// Removal: after each row of the README's table, and after all of them, the checks pass
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pickRemovals, type Removal, readRemovals } from '../../scripts/new/removals.ts';
import { copyTree, ROOT } from '../docs/copy.ts';
import { findSection } from '../docs/markdown.ts';
import { read } from '../docs/pages.ts';
import { runCommand } from '../docs/shell.ts';
import type { Tally } from '../tally.ts';
import { Repository } from '../updating/repository.ts';
import { proveMinimalApp } from './minimal-app.ts';

const CHECKS = ['npm run lint', 'npm run typecheck', 'npm run build'];

/** The flag that leaves out the tests, which take most of the time. */
const QUICK = '--quick';

const EVERYTHING = 'everything at once';

/** What an owner changes first: the name, and the page at `/`. */
const FIRST_STEPS = [
  { name: 'a new name', after: [], commands: ['npm run new app book-shop'] },
  {
    name: 'the page at /',
    after: [],
    commands: ['git rm -r routes/welcome test/routes/welcome.test.ts'],
  },
];

/** plugins/telemetry/ has a file for each of these; its tests need the removed part. */
const OBSERVED = ['jobs', 'database'];

/**
 * A flag selects the rows whose name contains its word, and --quick runs no tests: npm run proof
 * removal -- --quick --redis --everything
 */
export async function prove(tally: Tally, flags: string[]): Promise<void> {
  const removals = listRemovals();
  const isQuick = flags.includes(QUICK);
  const words = flags
    .filter((flag) => flag !== QUICK)
    .map((flag) => flag.replace(/^--/, '').toLowerCase());
  const isPicked = (name: string) =>
    words.length === 0 || words.some((word) => name.toLowerCase().includes(word));
  const picked = removals.filter(({ name }) => isPicked(name));
  assert(
    picked.length > 0,
    `no row has the word; these are there: ${removals.map(({ name }) => name).join('; ')}`,
  );
  await tally.check('Each comment that removes text names a row of the table', checkComments);
  for (const removal of picked) {
    const folder = await proveRemoval(tally, removal, isQuick);
    if (removal.name !== EVERYTHING) continue;
    await tally.check(`${EVERYTHING}: the README names no removed script or file`, () =>
      proveMentions(folder),
    );
    await proveMinimalApp(tally, folder);
  }
}

async function checkComments(): Promise<string> {
  const known = ['settings', ...readRemovals(read(ROOT, 'README.md')).map(({ name }) => name)];
  const text = ['README.md', 'AGENTS.md'].map((file) => read(ROOT, file)).join('\n');
  const named = findNames(text, /<!-- \/?([\w-]+) -->/g);
  assert.deepEqual(
    named.filter((name) => !known.includes(name)),
    [],
  );
  const ends = findNames(text, /^<!-- \/([\w-]+) -->$/gm);
  assert.deepEqual(findNames(text, /^<!-- ([\w-]+) -->$/gm), ends);
  return `${named.length} comments, ${ends.length} sections`;
}

/** The first steps, the table's rows, each after those that it names, and all together. */
function listRemovals(): Removal[] {
  const rows = readRemovals(read(ROOT, 'README.md'));
  const listCommands = (names: string[]) =>
    pickRemovals(rows, names).flatMap((row) => row.commands);
  const each = rows.map((row) => ({ ...row, commands: listCommands([row.name]) }));
  const names = rows.map(({ name }) => name).join(' ');
  const all = { name: EVERYTHING, after: [], commands: [`npm run new app bare without ${names}`] };
  return [...FIRST_STEPS, ...each, all];
}

/** @returns the folder of the remaining app */
async function proveRemoval(
  tally: Tally,
  { name, commands }: Removal,
  isQuick: boolean,
): Promise<string> {
  const copy = new Repository(await copyTree('removal'));
  await copy.init('Begin with the template');
  for (const command of commands)
    await tally.check(
      `${name}: ${command}`,
      async () => `${countLines(await copy.run(command))} files`,
    );
  const flags = OBSERVED.includes(name) ? ' -- --allow-incomplete-coverage' : '';
  const tests = isQuick ? [] : [`npm test${flags}`];
  for (const command of [...CHECKS, ...tests])
    await tally.check(`${name}, then: ${command}`, () => runCheck(copy.folder, command));
  await tally.check(`${name}, then: npm run format takes its settings out of the tables`, () =>
    proveTables(copy),
  );
  return copy.folder;
}

function countLines(output: string): number {
  return output.trimEnd().split('\n').length;
}

/**
 * Runs a command without any settings of the app.
 *
 * @returns its duration
 */
async function runCheck(folder: string, command: string): Promise<string> {
  const startedAt = performance.now();
  const { PATH, HOME } = process.env;
  const { code, output } = await runCommand(folder, command, { PATH, HOME });
  assert.equal(code, 0, `the command ended with ${code}:\n${pickFailures(output)}`);
  return `${Math.round((performance.now() - startedAt) / 1000)} s`;
}

/** Picks tap's report of each failed test; of other output the last lines. */
function pickFailures(output: string): string {
  const failures = output.match(/^ *not ok [\s\S]*?\n *\.\.\.$/gm) ?? [];
  return failures.length > 0
    ? failures.slice(0, 5).join('\n')
    : output.split('\n').slice(-40).join('\n');
}

/** README.md and AGENTS.md name only scripts and entry files that are there. */
async function proveMentions(folder: string): Promise<string> {
  const { scripts } = JSON.parse(read(folder, 'package.json'));
  const texts = ['README.md', 'AGENTS.md'].map((file) => read(folder, file)).join('\n');
  const named = new Set(findNames(texts, /npm run (?:-s )?([\w:]+)/g));
  assert.deepEqual(
    [...named].filter((name) => !(name in scripts)),
    [],
  );
  const files = new Set(
    findNames(texts, /(?<![\w/])((?:plugins|routes|jobs|src|test)\/[\w/.-]+\.ts)/g),
  );
  assert.deepEqual(
    [...files].filter((file) => !existsSync(path.join(folder, file))),
    [],
  );
  return `${named.size} scripts, ${files.size} files`;
}

/** The README's table has the remaining settings, and .env.example has no others. */
async function proveTables(copy: Repository): Promise<string> {
  await copy.run('npm run format');
  const left = findNames(
    findSection(copy.read('README.md'), 'The environment'),
    /^\| ([A-Z0-9_]+) \|/gm,
  );
  assert.deepEqual(findNames(copy.read('.env.example'), /^(?:# )?([A-Z0-9_]+)=/gm), left);
  await copy.run('npx node test/scripts/write-environment.test.ts');
  return `${left.length} settings`;
}

function findNames(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, name = '']) => name).sort();
}
