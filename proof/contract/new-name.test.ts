import { execFileSync } from 'node:child_process';
import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Test, test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { createFolder, DOWN, ROOT, startProcess } from '../../test/helper.ts';
import { SOURCES } from '../../test/process/copy-build.ts';

/** The files that are built, and those written from package.json. */
const NEEDED = [...SOURCES, 'test', 'Procfile', 'app.json', 'README.md'];

const NEW = { name: 'quite-another-name', version: '98.76.54' };

/** The app's current name as a whole word. */
const OLD = new RegExp(`(?<![\\w-])${manifest.name}(?![\\w-])`, 'i');

/** Copies the app, changes name and version in package.json alone, builds and formats it. */
async function renameApp(t: Test): Promise<string> {
  const folder = await createFolder(t);
  for (const name of NEEDED)
    await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'), 'junction');
  await writeFile(path.join(folder, 'package.json'), JSON.stringify({ ...manifest, ...NEW }));
  // `env -i` removes the variables that tap adds to each child to measure coverage.
  const node = [
    '-i',
    `PATH=${path.join(ROOT, 'node_modules/.bin')}:${process.env.PATH}`,
    process.execPath,
  ];
  for (const script of ['scripts/build.ts', 'scripts/write-environment.ts'])
    execFileSync('env', [...node, script], { cwd: folder });
  return folder;
}

test('A new name and version in package.json', async (t) => {
  const folder = await renameApp(t);
  const web = await startProcess(t, { entry: 'web', environment: { DATABASE_URL: DOWN }, folder });
  const get = async (file: string, accept = '*/*') =>
    (await fetch(`${web.url}${file}`, { headers: { accept } })).text();

  await t.test('GET / has the new name and version, for programs and browsers', async (t) => {
    t.match(JSON.parse(await get('/')), NEW);
    const page = await get('/', 'text/html');
    t.match(page, `<title>${NEW.name}</title>`);
    t.match(page, `<h1>${NEW.name} <small>${NEW.version}</small></h1>`);
    for (const text of [page, await get('/')]) t.notMatch(text, OLD);
  });

  await t.test('/openapi.json has the new name and version', async (t) => {
    const { info } = JSON.parse(await get('/openapi.json'));
    if (info) t.match(info, { title: NEW.name, version: NEW.version });
    for (const file of ['/openapi.json', '/docs']) t.notMatch(await get(file), OLD, file);
  });

  await t.test('app.json has the new name', async (t) => {
    const app = await readFile(path.join(folder, 'app.json'), 'utf8');
    t.equal(JSON.parse(app).name, NEW.name);
    t.notMatch(app, OLD);
  });

  await t.test('Each log line has the new name', async (t) => {
    web.signal('SIGTERM');
    await web.exited;
    t.ok(web.lines.length > 0);
    for (const line of web.lines) t.equal(line.name, NEW.name);
    // A stack may contain the old name: packages are found through the original's folder.
    for (const { err, ...line } of web.lines) t.notMatch(JSON.stringify(line), OLD);
  });
});
