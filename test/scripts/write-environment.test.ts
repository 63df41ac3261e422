import { execFileSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import {
  readSettings,
  writeExample,
  writeManifest,
  writeProcfile,
  writeRows,
  writeScripts,
  writeTable,
} from '../../scripts/write-environment.ts';
import { readConfig } from '../../src/app.ts';
import { createFolder, ROOT, writeFiles } from '../helper.ts';

const read = (file: string) => readFile(path.join(ROOT, file), 'utf8');

/*
 * The README, app.json and .env.example may still name removed capabilities, until `npm run format`
 * deletes them.
 */

test('The table of the README matches the settings', async (t) => {
  const rows = (await read('README.md')).split('\n');
  for (const row of writeRows(await readSettings()))
    t.ok(rows.includes(row), `npm run format writes ${row}`);
});

test('app.json matches the settings', async (t) => {
  const file = await read('app.json');
  const given = JSON.parse(file);
  const written = JSON.parse(writeManifest(file, await readSettings()));
  const env = Object.fromEntries(Object.keys(written.env).map((name) => [name, given.env[name]]));
  const { addons, formation } = written;
  t.strictSame({ ...given, env, addons, formation }, written, 'npm run format writes it');
  t.match(given, { formation });
});

test('.env.example has each setting once, with its value or default', async (t) => {
  const file = await read('.env.example');
  const lines = [...file.matchAll(/^(# )?([A-Z_]+)=(.*)$/gm)];
  for (const [name, { default: byDefault = '' }] of await readSettings()) {
    const found = lines.filter(([, , other]) => other === name);
    t.equal(found.length, 1, `${name} is there once`);
    const [, isComment, , value] = found[0] ?? [];
    if (isComment)
      t.equal(value, String(byDefault), `${name} is commented out and shows the default`);
  }
  await t.resolves(readConfig(parseEnv(file)));
});

test('npm run format deletes the settings of a removed capability', async (t) => {
  const settings = await readSettings();
  for (const [file, write] of Object.entries({
    'README.md': writeTable,
    'app.json': writeManifest,
  })) {
    const given = write(await read(file), settings);
    const added = new Map([
      ...settings,
      ['CATS_URL', { description: 'The cats', expected: '', default: 1 }],
    ]);
    t.match(write(given, added), 'CATS_URL');
    t.equal(write(write(given, added), settings), given, file);
  }
  const example = writeExample(await read('.env.example'), settings);
  const added = `${example}\n# The cats: cats://,\n# or dogs\n# CATS_URL=\n# How many\nCATS=7\n`;
  t.equal(writeExample(added, settings), example);
  const cats = { description: 'The cats', expected: '', default: 1 };
  const more = new Map(settings).set('CATS_URL', cats);
  t.equal(writeExample(example, more), `${example}# The cats\n# CATS_URL=1\n`);
});

test('Each setting has a description', async (t) => {
  for (const [name, setting] of await readSettings()) t.match(setting, { description: /\w/ }, name);
});

test('npm, buildpacks and the types have the same major version of Node', (t) => {
  const { engines, devDependencies } = manifest;
  const [major] = engines.node.split('.');
  t.match(engines.node, /^\d+\.x$/);
  t.match(devDependencies.node, new RegExp(`^\\^?${major}\\.`));
  t.match(devDependencies['@types/node'], new RegExp(`^\\^?${major}\\.`));
  t.equal(process.versions.node.split('.')[0], major, 'the tests run on it');
  t.end();
});

test('contract 7: The Procfile has plain commands, one per process type', async (t) => {
  const { start, release } = manifest.scripts;
  const lines = writeProcfile(await read('Procfile')).split('\n');
  t.strictSame(lines.slice(0, 2), [`web: ${start}`, `release: ${release}`]);
  t.equal(lines.pop(), '', 'the last line has an end');
  // No shell syntax: a shell between the platform and Node would keep the signals for itself.
  for (const line of lines) t.match(line, /^\w+: node dist\/src\/\w+\.js$/);
});

test('npm run format deletes the process types whose file was removed', async (t) => {
  const procfile = await read('Procfile');
  const given = writeProcfile(procfile);
  t.equal(writeProcfile(`${given}cats: node dist/src/cats.js\n`), given);
  t.equal(writeProcfile(`${given}cats: node dist/src/w%65b.js\n`), given, 'no URL, but a file');
  const app = JSON.parse(await read('app.json'));
  const added = JSON.stringify({ ...app, formation: { ...app.formation, cats: { quantity: 1 } } });
  const written = JSON.parse(writeManifest(added, await readSettings()));
  t.notOk('cats' in written.formation);
  t.ok('web' in written.formation);
});

test('npm run format deletes the scripts whose file was removed', async (t) => {
  const given = writeScripts(await read('package.json'));
  const { scripts, ...rest } = JSON.parse(given);
  const removed = {
    cats: 'node --env-file=.env scripts/cats.ts',
    'cats:feed': 'npm run job feed-cats',
    'cats:console': 'node src/cats.ts --purr',
  };
  const added = JSON.stringify({ ...rest, scripts: { ...scripts, ...removed } });
  t.strictSame(JSON.parse(writeScripts(added)), { ...rest, scripts });
  t.match(scripts, { start: manifest.scripts.start, test: /scripts\/test\.ts/ });
});

test('contract 25: There is one lock file and one major version of Node', async (t) => {
  const files = await readdir(ROOT);
  const locks =
    /^(package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lockb?)$/;
  t.strictSame(
    files.filter((file) => locks.test(file)),
    ['package-lock.json'],
  );
  t.strictSame(
    files.filter((file) => /^(server|index)\.[cm]?js$/.test(file)),
    [],
  );
  t.match(manifest.engines, { node: /^\d+\.x$/ });
  t.match(await read('Procfile'), `web: ${manifest.scripts.start}\n`);
});

test('npm run format writes these files only if they are wrong', async (t) => {
  const settings = await readSettings();
  const written: Record<string, string> = {
    Procfile: writeProcfile(await read('Procfile')),
    'README.md': writeTable(await read('README.md'), settings),
    'app.json': writeManifest(await read('app.json'), settings),
    'package.json': writeScripts(await read('package.json')),
    '.env.example': writeExample(await read('.env.example'), settings),
  };
  const folder = await createFolder(t);
  const cats = `${written.Procfile}cats: node dist/src/cats.js\n`;
  await writeFiles(folder, { ...written, Procfile: cats });
  const script = path.join(ROOT, 'scripts/write-environment.ts');
  execFileSync(process.execPath, [script], { cwd: folder });
  for (const [file, text] of Object.entries(written))
    t.equal(await readFile(path.join(folder, file), 'utf8'), text, file);
});
