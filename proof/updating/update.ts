import assert from 'node:assert/strict';
import { findBlocks } from '../docs/markdown.ts';
import type { Origin } from './owner.ts';
import type { Repository } from './repository.ts';

/** A file that the template changes and the owner removed, and a new one that belongs to it. */
const CONFLICT = 'routes/notes/schema.ts';
const UNWANTED = 'routes/notes/search.ts';

type Step = (app: Repository, command: string) => Promise<unknown>;

/** The commands of docs/updating.md that need more than a run; the first match counts. */
const STEPS: [RegExp, Step][] = [
  [/^git merge --no-commit /, merge],
  [/--diff-filter=A$/, removeUnwanted],
  // The packages are shared with the original, and the next version has the same.
  [/^npm install$/, (app) => app.run('npm ls --package-lock-only --all')],
  // The tests that concern the update run afterwards.
  [/^npm run check$/, (app) => app.run('npm run lint && npm run typecheck')],
  [/./, (app, command) => app.run(command)],
];

/** Follows docs/updating.md exactly. */
export async function followDocument(
  app: Repository,
  template: Repository,
  origin: Origin,
): Promise<string[]> {
  const lines = findBlocks(app.read('docs/updating.md'), 'sh').flatMap((block) => block.lines);
  const commands = lines.filter(
    (line) => origin === 'Use this template' || !line.includes('--allow-unrelated'),
  );
  for (const command of commands) {
    const [, step] = STEPS.find(([pattern]) => pattern.test(command))!;
    await step(app, command.replace('TEMPLATE', template.folder));
  }
  return commands;
}

/** Merges once to undo it, as the document describes, and once to keep it. */
async function merge(app: Repository, command: string): Promise<void> {
  const before = await app.run('git rev-parse HEAD');
  await app.try(command);
  await app.run('git merge --abort');
  assert.equal(await app.run('git rev-parse HEAD'), before);
  assert.equal(await app.run('git status --short'), '');
  const { code, output } = await app.try(command);
  assert.equal(code, 1, output);
  assert.equal(await app.run('git diff --name-only --diff-filter=U'), `${CONFLICT}\n`);
}

async function removeUnwanted(app: Repository, command: string): Promise<void> {
  assert.equal(await app.run('git diff --name-only --diff-filter=U'), '', 'no conflict remains');
  const added = await app.run(command);
  assert.match(added, new RegExp(`^${UNWANTED}$`, 'm'));
  await app.run(`git rm -f ${UNWANTED}`);
}
