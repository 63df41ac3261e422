// The documentation: its commands run, its links and files exist, its tables match the code
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { writeManifest } from '../../scripts/app-json.ts';
import { readSettings, writeExample, writeTable } from '../../scripts/write-environment.ts';
import { listDemands, listNumbers } from '../../test/contract-numbers.ts';
import type { Tally } from '../tally.ts';
import { proveAddResource } from './add-resource.ts';
import { findTreatment, findUnused, splitLine, type Treatment } from './commands.ts';
import { copyTree, listPages, ROOT } from './copy.ts';
import { listCommands, proveFiles, proveLinks, read } from './pages.ts';
import { proveProtectRoute } from './protect-route.ts';
import { expectSuccess, serve } from './shell.ts';

export async function prove(tally: Tally): Promise<void> {
  await tally.check("The tables of settings match the plugins' declarations", proveTables);
  await tally.check('Each demand of docs/contract.md has a test', () =>
    assert.deepEqual(listNumbers(), listDemands()),
  );
  const folder = await copyTree('docs');
  await proveAddResource(tally, folder);
  await proveProtectRoute(tally, folder);
  await proveCommands(tally, folder);
  for (const page of [...listPages(), 'CHANGELOG.md']) {
    await tally.check(`${page}: its links work`, () => proveLinks(folder, page));
    await tally.check(`${page}: the files it names exist`, () => proveFiles(folder, page));
  }
}

async function proveTables(): Promise<void> {
  const settings = await readSettings();
  assert.equal(
    writeTable(read(ROOT, 'README.md'), settings),
    read(ROOT, 'README.md'),
    'run npm run format',
  );
  const manifest = read(ROOT, 'app.json');
  assert.deepEqual(
    JSON.parse(writeManifest(manifest, settings, read(ROOT, 'Procfile'))),
    JSON.parse(manifest),
    'run npm run format',
  );
  const example = read(ROOT, '.env.example');
  assert.equal(writeExample(example, settings), example, 'run npm run format');
}

/** Runs each command once, in the order of the pages, in the copy with the resource. */
async function proveCommands(tally: Tally, folder: string): Promise<void> {
  const found = listPages().flatMap((page) =>
    listCommands(folder, page).flatMap(({ line, marked }) =>
      splitLine(line).map((command) => ({ page, command, marked })),
    ),
  );
  const commands = [...new Map(found.map((item) => [item.command, item])).values()];
  // "Add a resource" has run it, and it cannot run twice.
  for (const { page, command } of commands.filter(
    ({ command }) => !command.startsWith('npm run new resource '),
  ))
    await tally.check(`${page}: ${command}`, () => proveCommand(folder, command));
  await tally.check('Commands of platforms are marked as such', () => proveMarks(found));
  await tally.check('No command in the list of unrun commands is obsolete', () =>
    assert.deepEqual(findUnused(commands.map(({ command }) => command)), []),
  );
}

/** @returns how it was checked, if it was not run */
async function proveCommand(folder: string, command: string): Promise<string | undefined> {
  const treatment = findTreatment(command);
  assert(treatment, 'the command is unknown: add it to proof/docs/commands.ts');
  if (treatment.how === 'run') await expectSuccess(folder, command);
  if (treatment.how === 'serve') await serve(folder, command, async () => {});
  if (treatment.how === 'elsewhere') return proveElsewhere(treatment);
  return treatment.how === 'platform' ? 'not run, it needs an account' : undefined;
}

/** Blocks of commands that need an account are marked. */
function proveMarks(found: { page: string; command: string; marked: boolean }[]): void {
  const unmarked = found.filter(
    ({ command, marked }) => !marked && findTreatment(command)?.how === 'platform',
  );
  assert.deepEqual(unmarked, [], 'a block of such commands begins with ```sh platform');
}

function proveElsewhere({ file, says, reason }: Extract<Treatment, { how: 'elsewhere' }>): string {
  const files = globSync(file, { cwd: ROOT }).filter((name) => says.test(read(ROOT, name)));
  assert(files.length > 0, `${file} should run it, but does not contain ${says}`);
  return `run by ${files.join(', ')}: ${reason}`;
}
