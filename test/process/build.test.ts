import { execFileSync, spawnSync } from 'node:child_process';
import { cp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'tap';
import { DOWN, ROOT, startProcess, writeFiles } from '../helper.ts';
import { copyBuild, SOURCES } from './copy-build.ts';

/** Runs a script where dist/ is. `env -i` takes away what tap adds to the environment of every child, to measure it. */
function run(script: string): { stdout: string; stderr: string } {
  const command = ['-i', 'PORT=http', process.execPath, '--input-type=module', '-e', script];
  return spawnSync('env', command, { cwd: ROOT, encoding: 'utf8' });
}

const SCRIPTS = ['packages', 'files'];

test('The code of the packages and of our files comes from the caches that the build made', async (t) => {
  for (const name of SCRIPTS) {
    const script = `
      import { readFileSync } from 'node:fs';
      import { Script } from 'node:vm';
      const cachedData = readFileSync('dist/${name}.cache');
      console.log(new Script(readFileSync('dist/${name}.cjs', 'utf8'), { cachedData }).cachedDataRejected);`;
    t.equal(run(script).stdout, 'false\n', name);
  }
});

test('Without caches, or with those of another Node, the built app starts all the same', async (t) => {
  const folder = await copyBuild(t);
  const caches = SCRIPTS.map((name) => path.join(folder, `dist/${name}.cache`));
  for (const spoil of [(cache: string) => writeFile(cache, 'not what V8 made'), (cache: string) => rm(cache)]) {
    await Promise.all(caches.map(spoil));
    const { url, noise } = await startProcess(t, { entry: 'web', folder, environment: { DATABASE_URL: DOWN } });
    t.equal((await fetch(`${url}/health/live`)).status, 200);
    t.strictSame(noise, []);
  }
});

test('A stack trace of the built app names lines of the sources', async (t) => {
  // Loading the app turns source maps on, and fails: its PORT is none.
  const script = `
    process.exit = () => {};
    process.stdout.write = () => {};
    await import('./dist/src/web.js');
    const { describeError } = await import('./dist/plugins/errors.js');
    try { describeError(500); } catch ({ stack }) { console.error(stack); }`;
  t.match(run(script).stderr, /plugins[\\/]errors\.ts:\d+:\d+/);
});

/** What a file can have that a script has not, or has otherwise. */
const ROUTE = `
  import one from 'es-modules-only';
  import two from 'both-kinds';
  export default async (app) => app.get('/', async () => [
    one, two, /^[é日]+$/.test('é日'), String.raw\`é日\`, import.meta.url.endsWith('/routes/odd/index.js'),
    import.meta.resolve('./x.js').endsWith('/routes/odd/x.js'), import.meta.main,
  ]);`;

const PACKAGES = {
  'es-modules-only/package.json': '{ "exports": { "import": "./index.mjs" } }',
  'es-modules-only/index.mjs': "export default 'ES module';",
  'both-kinds/package.json': '{ "exports": { "import": "./index.mjs", "require": "./index.cjs" } }',
  'both-kinds/index.mjs': "export default 'ES module';",
  'both-kinds/index.cjs': "exports.__esModule = true; exports.default = 'CommonJS module';",
};

test('A file in the script imports what it would import as a module', async (t) => {
  const folder = await copyBuild(t);
  for (const name of SOURCES) await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  await writeFiles(path.join(folder, 'routes'), { 'odd/index.ts': ROUTE });
  await writeFiles(path.join(folder, 'node_modules'), PACKAGES);
  execFileSync('env', ['-i', process.execPath, 'build.ts'], { cwd: folder });
  const { url } = await startProcess(t, { entry: 'web', folder, environment: { DATABASE_URL: DOWN } });
  const answer = await (await fetch(`${url}/odd`)).json();
  t.strictSame(answer, ['ES module', 'ES module', true, 'é日', true, true, false]);
});
