import { execSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pickRemovals, type Removal, readRemovals, removeMentions } from './removals.ts';

/** Heroku's rule for the name of an app. npm, Dokku and the other platforms accept it too. */
const NAME = /^[a-z](?=.{1,28}[a-z0-9]$)[a-z0-9]*(-[a-z0-9]+)*$/;

/** Begins the template's own changelog. */
const TEMPLATE = 'The versions of the template';

const CHANGELOG = `# Changelog

In the form of [Keep a Changelog](https://keepachangelog.com/en/1.1.0/).

## 0.1.0

### Added

- The template, with what is needed of it.
`;

/**
 * Turns a fresh clone into the owner's app: removes capabilities with the commands of the README,
 * and writes the name everywhere. It checks its arguments and git before it changes anything, and
 * commits nothing. Throws at the first problem.
 */
export function createApp(root: string, name: string, [word, ...capabilities]: string[]): void {
  checkName(name);
  if (word && word !== 'without')
    throw new Error(`"${word}" is not known here: npm run new app ${name} without notes redis`);
  const removals =
    capabilities.length > 0
      ? pickRemovals(readRemovals(read(root, 'README.md')), capabilities)
      : [];
  checkClean(root);
  // Files that were already removed by hand are no error.
  for (const command of removals.flatMap(({ commands }) => commands))
    run(root, command.replace(/^git rm /, 'git rm --ignore-unmatch '));
  writeName(root, name, removals);
  // Updates the table of settings, app.json, .env.example, the Procfile and the scripts.
  run(root, 'node scripts/write-environment.ts');
  run(root, 'biome check --write');
}

function checkName(name: string): void {
  if (!NAME.test(name))
    throw new Error(
      `"${name}" is not a name for an app: 3 to 30 small letters, digits and single hyphens, ` +
        'a letter first, such as book-shop.',
    );
}

/** Without other changes, one command can undo a failure. */
function checkClean(root: string): void {
  const git = spawnSync('git', ['status', '--porcelain'], { cwd: root, encoding: 'utf8' });
  if (git.status !== 0) {
    const reason = git.error?.message ?? git.stderr.trim();
    throw new Error(
      `${reason}\nIn a new repository, run first: git init, git add --all, git commit`,
    );
  }
  const changes = git.stdout;
  if (changes)
    throw new Error(`There are changes that are not committed. Commit them first:\n${changes}`);
}

/** npm edits only package.json and the lock file. The next `npm install` removes the packages. */
function run(root: string, command: string): void {
  const bin = path.join(root, 'node_modules/.bin');
  const env = {
    ...process.env,
    PATH: `${bin}${path.delimiter}${process.env.PATH}`,
    npm_config_package_lock_only: 'true',
  };
  try {
    execSync(command, { cwd: root, env, stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    throw new Error(
      `${(error as Error).message.trim()}\nUndo what was done so far with: git reset --hard`,
    );
  }
}

function writeName(root: string, name: string, removals: Removal[]): void {
  const former: string = JSON.parse(read(root, 'package.json')).name;
  for (const file of ['README.md', 'AGENTS.md', '.github/workflows/ci.yml'])
    edit(root, file, (text) => removeMentions(text, removals));
  for (const removed of removals)
    edit(root, '.github/dependabot.yml', (text) => text.replace(`, /${removed.name}`, ''));
  edit(root, 'README.md', (text) => text.replace(new RegExp(`^# ${former}$`, 'im'), `# ${name}`));
  edit(root, '.env.example', (text) => text.replace(new RegExp(`=${former}$`, 'gm'), `=${name}`));
  edit(root, 'CHANGELOG.md', (text) => (text.includes(TEMPLATE) ? CHANGELOG : text));
  // The removed tests also covered lines of files that stay.
  edit(root, '.taprc', (text) => text.replace('# allow-incomplete', 'allow-incomplete'));
  editJson(root, 'package-lock.json', (lock) => {
    lock.name = name;
    lock.packages[''].name = name;
  });
  editJson(root, 'package.json', (manifest) => {
    manifest.name = name;
  });
}

// biome-ignore lint/suspicious/noExplicitAny: JSON of several forms.
function editJson(root: string, file: string, change: (value: any) => void): void {
  edit(root, file, (text) => {
    const value = JSON.parse(text);
    change(value);
    return `${JSON.stringify(value, null, 2)}\n`;
  });
}

function edit(root: string, file: string, change: (text: string) => string): void {
  if (!existsSync(path.join(root, file))) return;
  writeFileSync(path.join(root, file), change(read(root, file)));
}

function read(root: string, file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}
