import { spawnSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'tap';
import { DOWN, ROOT, startProcess } from '../helper.ts';
import { copyBuild } from './copy-build.ts';

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
      console.log(new Script(readFileSync('dist/${name}.cjs', 'latin1'), { cachedData }).cachedDataRejected);`;
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
