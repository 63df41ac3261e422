import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cp, readdir, rename, symlink } from 'node:fs/promises';
import path from 'node:path';
import { type Test, test } from 'tap';
import { readRemovals } from '../../scripts/new/removals.ts';
import { createFolder, ROOT, writeFiles } from '../../test/helper.ts';

/** Files that a clone does not have. */
const OWN = ['node_modules', '.git', 'dist', '.data', '.tap', '.env'];

/** Creates a clone of the template with everything committed. */
async function createClone(t: Test): Promise<string> {
  const folder = await createFolder(t);
  for (const name of (await readdir(ROOT)).filter((name) => !OWN.includes(name)))
    await cp(path.join(ROOT, name), path.join(folder, name), {
      recursive: true,
      filter: (source) => !source.includes('node_modules'),
    });
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  run(folder, 'git', 'init', '--quiet');
  await writeFiles(folder, { '.git/info/exclude': 'node_modules\n' });
  run(folder, 'git', 'add', '--all');
  run(folder, 'git', 'commit', '--quiet', '--message', 'Begin');
  return folder;
}

/** `env -i` removes the variables that tap adds to each child to measure coverage. */
function run(folder: string, ...command: string[]) {
  const names = [
    'GIT_AUTHOR_NAME',
    'GIT_COMMITTER_NAME',
    'GIT_AUTHOR_EMAIL',
    'GIT_COMMITTER_EMAIL',
  ];
  const variables = [`PATH=${process.env.PATH}`, `HOME=${folder}`];
  const args = [
    '-i',
    ...variables,
    ...names.map((name) => `${name}=owner@example.com`),
    ...command,
  ];
  return spawnSync('env', args, { cwd: folder, encoding: 'utf8' });
}

const create = (folder: string, ...parameters: string[]) =>
  run(folder, process.execPath, 'scripts/new.ts', 'app', ...parameters);

test('npm run new app NAME without CAPABILITIES', async (t) => {
  const folder = await createClone(t);
  const read = (file: string) => readFileSync(path.join(folder, file), 'utf8');

  await t.test('A bad name, word or capability is refused', async (t) => {
    for (const name of ['Book', '1st', 'book-', '../x'])
      t.match(create(folder, name), { status: 1, stderr: `"${name}" is not a name for an app` });
    t.match(create(folder, 'without', 'redis'), { status: 1, stderr: /^npm run new resource/ });
    t.match(create(folder, 'book-shop', 'redis'), { status: 1, stderr: '"redis" is not known' });
    const unknown = create(folder, 'book-shop', 'without', 'redis', 'kafka');
    t.match(unknown, { status: 1, stderr: /^"kafka" cannot be removed\. These can: .*redis/ });
    t.equal(run(folder, 'git', 'status', '--porcelain').stdout, '', 'nothing is changed');
  });

  await t.test('A tree with changes is refused', async (t) => {
    await writeFiles(folder, { 'note.txt': 'mine' });
    t.match(create(folder, 'book-shop'), { status: 1, stderr: /not committed[\s\S]*note\.txt/ });
    run(folder, 'git', 'clean', '--quiet', '--force');
  });

  await t.test('A folder without git is refused with the commands to run', async (t) => {
    const git = path.join(folder, '.git');
    await rename(git, `${git}-away`);
    const stderr = /not a git repository.*\n.*run first: git init, git add --all, git commit/;
    t.match(create(folder, 'book-shop'), { status: 1, stderr });
    await rename(`${git}-away`, git);
  });

  await t.test('The name is written everywhere, and what is named is removed', async (t) => {
    const names = readRemovals(read('README.md')).map(({ name }) => name);
    const [first = '', last = ''] = [names.at(0), names.at(-1)];
    // This capability was removed by hand.
    run(folder, 'git', 'rm', '-r', '--quiet', '--ignore-unmatch', 'examples');
    run(folder, 'git', 'commit', '--quiet', '--message', 'Remove the examples');
    t.match(create(folder, 'book-shop', 'without', first, last), { status: 0, stderr: '' });
    for (const file of ['package.json', 'package-lock.json', 'app.json'])
      t.equal(JSON.parse(read(file)).name, 'book-shop', file);
    t.equal(JSON.parse(read('package-lock.json')).packages[''].name, 'book-shop');
    t.match(read('README.md'), /^# book-shop\n/);
    t.notMatch(read('CHANGELOG.md'), 'Poort');
    t.match(read('README.md'), /^\| `docs\/` \|/m);
    t.notMatch(read('README.md'), /^\| `examples\/` \|/m);
    t.match(read('.github/dependabot.yml'), /directories: .*proof\]\n/);
    const left = readRemovals(read('README.md')).map(({ name }) => name);
    t.strictSame(left, names.slice(1, -1));
    for (const script of Object.values(JSON.parse(read('package.json')).scripts))
      for (const file of String(script).match(/(scripts|proof)\/[\w-]+\.ts/g) ?? [])
        t.ok(existsSync(path.join(folder, file)), file);
  });
});

test("The README's removals leave an owner's resources alone", async (t) => {
  const folder = await createFolder(t);
  const names =
    'authors footnotes job-offers decors redistributions backing-apps database-servers auth-keys';
  for (const name of names.split(' '))
    await writeFiles(folder, {
      [`routes/${name}/index.ts`]: '',
      [`test/routes/${name}.test.ts`]: '',
    });
  run(folder, 'git', 'init', '--quiet');
  run(folder, 'git', 'add', '--all');
  run(folder, 'git', 'commit', '--quiet', '--message', 'Begin');
  const removals = readRemovals(readFileSync(path.join(ROOT, 'README.md'), 'utf8'));
  for (const command of removals.flatMap(({ commands }) => commands)) {
    if (!command.startsWith('git rm ')) continue;
    const listing = command.replace(/^git rm /, 'git rm --dry-run --ignore-unmatch ');
    t.match(run(folder, 'sh', '-c', listing), { status: 0, stdout: /^$/ }, command);
  }
});
