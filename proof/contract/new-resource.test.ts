import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { cp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Test, test } from 'tap';
import { createFolder, ROOT } from '../../test/helper.ts';

/** The files that the generator needs; `npm run proof new` checks what it writes. */
const NEEDED = [
  'scripts/new',
  'scripts/new.ts',
  'scripts/package-file.ts',
  'plugins',
  'routes/health',
  'src',
  'biome.json',
  '.gitignore',
  'package.json',
];

/** Copies the app to a workspace, without the owner's resources, to generate some in it. */
async function copyApp(t: Test): Promise<string> {
  const workspace = await createFolder(t);
  const folder = path.join(workspace, 'app');
  for (const name of NEEDED)
    await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  await rm(path.join(folder, 'src/migrations'), { recursive: true, force: true });
  await mkdir(path.join(folder, 'test/routes'), { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), path.join(workspace, 'node_modules'), 'junction');
  return folder;
}

/**
 * Runs a program in the copy. `env -i` removes the variables that tap adds to each child to measure
 * coverage.
 */
function run(folder: string, ...args: string[]) {
  return spawnSync('env', ['-i', process.execPath, ...args], { cwd: folder, encoding: 'utf8' });
}

function listFiles(folder: string): string[] {
  return globSync('{routes,src,test}/**/*.ts', { cwd: folder }).sort();
}

test('npm run new resource', async (t) => {
  const folder = await copyApp(t);
  const before = listFiles(folder);

  await t.test(
    'npm run new resource writes a migration, three route files and a test',
    async (t) => {
      const regular = run(folder, 'scripts/new.ts', 'resource', 'order-items');
      t.match(regular, { status: 0, stderr: '', stdout: 'order-items, singular order-item' });
      const irregular = run(folder, 'scripts/new.ts', 'resource', 'people', 'person');
      t.match(irregular, { status: 0, stderr: '', stdout: 'people, singular person' });
      const added = listFiles(folder).filter((file) => !before.includes(file));
      t.strictSame(
        added.map((file) => file.replace(/\d{8}T\d{6}/, 'TIME')),
        [
          'routes/order-items/index.ts',
          'routes/order-items/schema.ts',
          'routes/order-items/store.ts',
          'routes/people/index.ts',
          'routes/people/schema.ts',
          'routes/people/store.ts',
          'src/migrations/TIME-create-order-items.ts',
          'src/migrations/TIME-create-people.ts',
          'test/routes/order-items.test.ts',
          'test/routes/people.test.ts',
        ],
      );
    },
  );

  await t.test('npm run new resource deletes the files of a failed run', async (t) => {
    await rm(path.join(folder, 'test/routes'), { recursive: true });
    await writeFile(path.join(folder, 'test/routes'), 'in the way');
    const before = listFiles(folder);
    t.match(run(folder, 'scripts/new.ts', 'resource', 'books'), {
      status: 1,
      stdout: '',
      stderr: /EEXIST|ENOTDIR/,
    });
    t.strictSame(listFiles(folder), before);
    t.notOk(existsSync(path.join(folder, 'routes/books')));
  });
});

test('npm run new resource with bad input ends with 1 and writes nothing', async (t) => {
  const folder = await copyApp(t);
  await writeFile(path.join(folder, 'test/routes/lamps.test.ts'), '');
  await mkdir(path.join(folder, 'plugins/lessons'));
  const before = listFiles(folder);
  const refused: [string[], RegExp][] = [
    [['plugin', 'books'], /^npm run new resource NAME/],
    [['resource', 'books', 'book', 'more'], /^npm run new resource NAME/],
    [['resource', 'Books'], /^"Books" is not kebab-case/],
    [['resource', 'types'], /^"types" does not work: Type is already a name/],
    [['resource', 'health', 'health'], /^"health" is taken: routes\/health is there/],
    [['resource', 'lessons'], /^"lessons" is taken: plugins\/lessons is there/],
    [['resource', 'lamps'], /^"lamps" is taken: test\/routes\/lamps\.test\.ts is there/],
  ];
  for (const [args, reason] of refused) {
    t.match(
      run(folder, 'scripts/new.ts', ...args),
      { status: 1, stdout: '', stderr: reason },
      args.join(' '),
    );
  }
  t.strictSame(listFiles(folder), before);
});
