// An update of a changed app to a later template, by docs/updating.md, with and without history
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { copyTree } from '../docs/copy.ts';
import { serve } from '../docs/shell.ts';
import type { Tally } from '../tally.ts';
import { releaseLaterVersion } from './later-version.ts';
import { createApp, type Origin } from './owner.ts';
import { Repository } from './repository.ts';
import { followDocument } from './update.ts';

const ORIGINS: Origin[] = ['git clone', 'Use this template'];

export async function prove(tally: Tally): Promise<void> {
  const template = new Repository(await copyTree('template'));
  await tally.check('template.version is the first version of the changelog', () =>
    proveStamp(template),
  );
  await template.init('Release 0.1.0');
  await template.run(`git tag v${readStamp(template)}`);
  const apps: [Origin, Repository][] = [];
  for (const origin of ORIGINS) apps.push([origin, await createApp(template, origin)]);
  await releaseLaterVersion(template);
  for (const [origin, app] of apps) await proveUpdate(tally, origin, app, template);
}

function proveStamp(template: Repository): string {
  const stamp = readStamp(template);
  const [, version] = /^## (\S+) - \d{4}-\d\d-\d\d$/m.exec(template.read('CHANGELOG.md')) ?? [];
  assert.equal(stamp, version);
  return stamp;
}

async function proveUpdate(
  tally: Tally,
  origin: Origin,
  app: Repository,
  template: Repository,
): Promise<void> {
  const check = (name: string, run: () => unknown) => tally.check(`${origin}: ${name}`, run);
  await check('The commands of docs/updating.md work', async () =>
    (await followDocument(app, template, origin))
      .map((command) => `\n          ${command}`)
      .join(''),
  );
  await check("The template's changes, additions and removals are applied", () =>
    proveTemplate(app),
  );
  await check("The owner's changes, additions and removals are kept", () => proveOwner(app));
  await check('The next update begins where this one ended', () => proveAncestor(app));
  for (const test of ['scripts/write-environment', 'routes/books', 'routes/greeting'])
    await check(`test/${test}.test.ts`, () =>
      app.run(`npx node test/${test}.test.ts`).then(() => undefined),
    );
  await check('The built app answers', () => proveApp(app));
}

function proveTemplate(app: Repository): void {
  assert.equal(readStamp(app), '0.2.0');
  assert.match(app.read('src/after-listening.ts'), /DELAY_MS = 130/);
  assert.match(app.read('package.json'), /"lint:all"/);
  assert.match(app.read('README.md'), /^## Why this$/m);
  assert.match(app.read('README.md'), /^\| GREETING \| Hello \|/m);
  assert(!existsSync(path.join(app.folder, 'plugins/cors.ts')));
  assert.doesNotMatch(app.read('app.json') + app.read('README.md'), /CORS_ORIGIN/);
}

function proveOwner(app: Repository): void {
  const { name, version } = JSON.parse(app.read('package.json'));
  assert.deepEqual([name, version], ['library', '3.1.4']);
  assert.equal(JSON.parse(app.read('app.json')).name, 'library');
  assert.match(app.read('README.md'), /^# Library\n/);
  assert(existsSync(path.join(app.folder, 'routes/books/index.ts')));
  assert(!existsSync(path.join(app.folder, 'routes/notes')));
}

async function proveAncestor(app: Repository): Promise<void> {
  assert.equal(await app.run('git status --short'), '');
  const ancestor = await app.run('git merge-base HEAD template/v0.2.0');
  assert.equal(ancestor, await app.run('git rev-parse "template/v0.2.0^{commit}"'));
}

async function proveApp(app: Repository): Promise<void> {
  await app.run('npm run build');
  await serve(app.folder, 'npm start', async (url) => {
    const { name, version } = await getJson(url);
    assert.deepEqual([name, version], ['library', '3.1.4']);
    assert.deepEqual(await getJson(`${url}/greeting`), { greeting: 'Hello' });
    assert.deepEqual(await getJson(`${url}/books`), { items: [], next: null });
    assert.equal((await fetch(`${url}/notes`)).status, 404);
  });
}

// biome-ignore lint/suspicious/noExplicitAny: the answer is compared with the expected one.
async function getJson(url: string): Promise<any> {
  return (await fetch(url)).json();
}

/** Reads the template's version from package.json. */
function readStamp(repository: Repository): string {
  return JSON.parse(repository.read('package.json')).template.version;
}
