import { execFileSync, spawnSync } from 'node:child_process';
import { cp } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'tap';
import { DOWN, ROOT, startProcess, writeFiles } from '../helper.ts';
import { copyBuild, SOURCES } from './copy-build.ts';

/**
 * Runs a script where dist/ is. `env -i` takes away what tap adds to the environment of every
 * child, to measure it.
 */
function run(script: string): { stdout: string; stderr: string } {
  const command = ['-i', 'PORT=http', process.execPath, '--input-type=module', '-e', script];
  return spawnSync('env', command, { cwd: ROOT, encoding: 'utf8' });
}

test('A stack trace of the built app names lines of the sources', async (t) => {
  // Loading the app turns source maps on, and fails: its PORT is none.
  const script = `
    process.exit = () => {};
    process.stdout.write = () => {};
    await import('./dist/src/web.js');
    const { describeError } = await import('./dist/plugins/errors/index.js');
    try { describeError(500); } catch ({ stack }) { console.error(stack); }`;
  t.match(run(script).stderr, /plugins[\\/]errors[\\/]index\.ts:\d+:\d+/);
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
  for (const name of SOURCES)
    await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  await writeFiles(path.join(folder, 'routes'), { 'odd/index.ts': ROUTE });
  await writeFiles(path.join(folder, 'node_modules'), PACKAGES);
  execFileSync('env', ['-i', process.execPath, 'scripts/build.ts'], { cwd: folder });
  const { url } = await startProcess(t, {
    entry: 'web',
    folder,
    environment: { DATABASE_URL: DOWN },
  });
  const answer = await (await fetch(`${url}/odd`)).json();
  t.strictSame(answer, ['ES module', 'ES module', true, 'é日', true, true, false]);
});
