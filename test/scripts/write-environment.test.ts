import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { writeManifest } from '../../scripts/app-json.ts';
import {
  readSettings,
  readTable,
  writeExample,
  writeProcfile,
  writeRows,
  writeScripts,
  writeTable,
} from '../../scripts/write-environment.ts';
import { readConfig } from '../../src/app.ts';
import { createFolder, ROOT, writeFiles } from '../helper.ts';

const read = (file: string) => readFile(path.join(ROOT, file), 'utf8');

const readProcfile = async () =>
  existsSync(path.join(ROOT, 'Procfile')) ? writeProcfile(await read('Procfile')) : undefined;

/*
 * The README, app.json and .env.example may still name removed capabilities, until `npm run format`
 * deletes them.
 */

test('The table of the README matches the settings', async (t) => {
  const readme = await read('README.md');
  if (!readme.includes('<!-- settings -->')) return t.pass('it has none');
  const rows = readme.split('\n');
  for (const row of writeRows(await readSettings()))
    t.ok(rows.includes(row), `npm run format writes ${row}`);
});

const skipWithout = (file: string) => ({ skip: !existsSync(path.join(ROOT, file)) });

test('app.json matches the settings', skipWithout('app.json'), async (t) => {
  const file = await read('app.json');
  const given = JSON.parse(file);
  const settings = await readSettings();
  const former = readTable(await read('README.md'));
  const written = JSON.parse(writeManifest(file, settings, await readProcfile(), former));
  const env = Object.fromEntries(Object.keys(written.env).map((name) => [name, given.env[name]]));
  const { addons, formation } = written;
  t.strictSame({ ...given, env, addons, formation }, written, 'npm run format writes it');
  t.match(given, { formation });
});

test('.env.example has each setting once, with its value or default', async (t) => {
  const file = await read('.env.example');
  const lines = [...file.matchAll(/^(# )?([A-Z][A-Z0-9_]*)=(.*)$/gm)];
  for (const [name, { default: byDefault = '' }] of await readSettings()) {
    const found = lines.filter(([, , other]) => other === name);
    t.equal(found.length, 1, `${name} is there once`);
    const [, isComment, , value] = found[0] ?? [];
    if (isComment)
      t.equal(value, String(byDefault), `${name} is commented out and shows the default`);
  }
  await t.resolves(readConfig(parseEnv(file)));
});

const CATS: [string, { description: string; expected: string; default: number }] = [
  'CATS_R2_URL',
  { description: 'The cats | dogs', expected: '', default: 1 },
];

test('npm run format deletes the settings of a removed capability', async (t) => {
  const settings = await readSettings();
  const more = new Map([...settings, CATS]);
  const readme = 'Mine\n<!-- settings --><!-- /settings -->\nMine too\n';
  const table = writeTable(readme, more);
  t.match(
    table,
    /\n\| CATS_R2_URL \| 1 \| The cats \\\| dogs \|\n\n<!-- \/settings -->\nMine too\n$/,
  );
  t.equal(writeTable(table, settings), writeTable(readme, settings));
  const former = readTable(table);
  t.strictSame(former, [...more.keys()]);
  t.strictSame(readTable('| CATS_R2_URL | 1 |'), [], 'only the table of settings counts');
  const example = writeExample(await read('.env.example'), settings, former);
  const cats = '# The cats: cats://,\n# or dogs\n# CATS_R2_URL=\n';
  const mine = '# Of AWS\nAWS_REGION=eu-central-1\n';
  t.equal(writeExample(`${example}${cats}${mine}`, settings, former), `${example}${mine}`);
  t.equal(writeExample(`${example}${cats}`, settings), `${example}${cats}`);
  const added = writeExample(example, more);
  t.equal(added, `${example}# The cats | dogs\n# CATS_R2_URL=1\n`);
  t.equal(writeExample(added, more), added, 'a second time changes nothing');
  const unended = `${example}CATS_R2_URL=2`;
  t.equal(writeExample(unended, more), `${unended}\n`, 'the last line needs no line feed');
  const given = writeManifest('{}', settings);
  t.match(writeManifest(given, more), 'CATS_R2_URL');
  t.equal(writeManifest(writeManifest(given, more), settings, '', former), given);
});

test('npm run format lists the values of a setting that has only some', (t) => {
  const settings = new Map([['MOOD', { ...CATS[1], enum: ['good', 'bad'] }]]);
  const description = 'The cats | dogs (good, bad)';
  t.strictSame(writeRows(settings), [`| MOOD | 1 | ${description.replace('|', '\\|')} |`]);
  t.equal(writeExample('', settings), `\n# ${description}\n# MOOD=1\n`);
  const required = new Map([['PLAN', { description: 'The plan' }]]);
  t.equal(writeExample('', required), '\n# The plan\n# PLAN=\n');
  t.match(JSON.parse(writeManifest('{}', settings)), { env: { MOOD: { description } } });
  t.end();
});

test('npm run format leaves a README without the table as it is', (t) => {
  for (const readme of ['# Mine\n', '# Mine\n<!-- settings -->\n\nMore\n'])
    t.equal(writeTable(readme, new Map([CATS])), readme);
  t.end();
});

test("npm run format keeps an owner's values in app.json", async (t) => {
  const required = { description: 'The key', expected: '' };
  const settings = new Map([CATS, ['STRIPE_KEY', required]]);
  const env = {
    CATS_R2_URL: { description: 'The cats | dogs', value: 'cats://', required: true },
    STRIPE_KEY: { description: 'The key', generator: 'secret', required: true },
    NODE_OPTIONS: { value: '--max-old-space-size=400' },
  };
  const addons = ['heroku-redis', { plan: 'heroku-postgresql:essential-0' }, 'heroku-postgresql'];
  const formation = { cats: { quantity: 2 } };
  const given = JSON.stringify({ env, addons, formation });
  const written = JSON.parse(writeManifest(given, settings));
  t.match(written, { env, addons: ['heroku-redis'], formation });
  t.strictSame(written.addons, ['heroku-redis']);
  const short = writeManifest('{"env":{"CATS_R2_URL":"cats://"}}', settings);
  t.match(JSON.parse(short).env.CATS_R2_URL, { value: 'cats://', required: false });
  const fresh = JSON.parse(writeManifest('{}', settings));
  t.strictSame(fresh.env, {
    CATS_R2_URL: { description: 'The cats | dogs', required: false },
    STRIPE_KEY: { description: 'The key', required: true },
  });
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
  const procfile = await readProcfile();
  if (procfile === undefined) return t.pass('it was removed');
  const { start, release } = manifest.scripts;
  const lines = procfile.split('\n');
  t.equal(lines.pop(), '', 'the last line has an end');
  t.ok(lines.includes(`web: ${start}`));
  for (const line of lines) {
    // No shell syntax: a shell between the platform and Node would keep the signals for itself.
    t.match(line, /^[\w-]+: node [^'"`&|;<>$()]+$/);
    // Some platforms have no such process.
    if (line.startsWith('release:')) t.equal(line, `release: ${release}`);
  }
});

test('npm run format deletes the process types whose file was removed', async (t) => {
  const given = 'web: node dist/src/web.js\n';
  t.equal(writeProcfile(`${given}cats: node dist/src/cats.js\n`), given);
  t.equal(writeProcfile(`${given}cats: node dist/src/w%65b.js\n`), given, 'no URL, but a file');
  const formation = { web: { quantity: 1 }, cats: { quantity: 1 } };
  const settings = await readSettings();
  const written = JSON.parse(writeManifest(JSON.stringify({ formation }), settings, given));
  t.strictSame(written.formation, { web: { quantity: 1 } });
});

test('npm run format deletes the scripts whose file was removed', async (t) => {
  const given = writeScripts(await read('package.json'));
  const { scripts, ...rest } = JSON.parse(given);
  const removed = {
    cats: 'node --env-file=.env scripts/cats.ts',
    'cats:feed': 'npm run job feed-cats',
    'cats:console': 'node src/cats.ts --purr',
    'cats:services': 'npm run build && tap --disable-coverage test/services/cats/*.test.ts',
  };
  const kept = {
    client: 'node client/scripts/generate.ts',
    generate: 'tsx tools/src/generate.ts',
    types: 'node --import ./scripts/cats.ts scripts/build.ts src/cats.ts',
    purr: 'cats src/cats.ts',
    scratch: 'tap test/cats/*.test.ts',
  };
  const added = JSON.stringify({ ...rest, scripts: { ...scripts, ...kept, ...removed } });
  t.strictSame(JSON.parse(writeScripts(added)), { ...rest, scripts: { ...scripts, ...kept } });
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
});

test('npm run format writes these files if they are there', async (t) => {
  const settings = await readSettings();
  const [manifest, example] = [await read('package.json'), await read('.env.example')];
  const procfile = 'web: node dist/src/web.js\n';
  const app = JSON.stringify({ formation: { web: { quantity: 1 } } });
  const written: Record<string, string> = {
    Procfile: procfile,
    'README.md': writeTable(await read('README.md'), settings),
    'app.json': writeManifest(app, settings),
    'package.json': writeScripts(manifest),
    '.env.example': writeExample(example, settings),
  };
  const folder = await createFolder(t);
  const script = path.join(ROOT, 'scripts/write-environment.ts');
  // npm test with a file sets a cache of compiled code, which would be made in the folder.
  const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' };
  const run = () => execFileSync(process.execPath, [script], { cwd: folder, env });
  run();
  t.strictSame(await readdir(folder), []);
  await writeFiles(folder, { ...written, Procfile: `${procfile}cats: node dist/src/cats.js\n` });
  run();
  for (const [file, text] of Object.entries(written))
    t.equal(await readFile(path.join(folder, file), 'utf8'), text, file);
});
