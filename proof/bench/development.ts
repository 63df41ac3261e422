import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildApp } from '../build.ts';
import { findPort, makeFolder } from '../processes.ts';
import { readStatus } from '../routing/web.ts';
import { APP } from './contestants.ts';
import type { Setting } from './measurements.ts';
import { pinServer } from './processors.ts';
import type { Result } from './rounds.ts';

const ROOT = path.dirname(path.dirname(import.meta.dirname));

/** Files that the tests do not need and must not find. */
const LEFT_OUT = ['.git', '.tap', '.data', '.env', 'dist', 'examples', 'node_modules', 'proof'];

/** The pause between two saves, in milliseconds: a developer reads the answer first. */
const BETWEEN_SAVES_MS = 2_000;

const WELCOME = 'routes/welcome/index.ts';

/** Measures `npm run dev` from a save to the answer of the new code. */
export async function measureReload({ rounds }: Setting): Promise<Result[]> {
  const folder = await makeFolder('dev');
  await cp(buildApp(), folder, { recursive: true, verbatimSymlinks: true });
  const port = await findPort();
  const url = `http://127.0.0.1:${port}`;
  const environment = { ...process.env, PORT: `${port}`, HOST: '127.0.0.1' };
  const [command = '', ...args] = [...pinServer('all'), process.execPath, 'scripts/dev.ts'];
  const child = spawn(command, args, { cwd: folder, env: environment, stdio: 'ignore' });
  try {
    const seconds: number[] = [];
    for (let round = 0; round < rounds; round++) {
      while ((await readStatus(`${url}/health/ready`)) !== 200) await sleep(50);
      await sleep(BETWEEN_SAVES_MS);
      seconds.push(await measureSave(path.join(folder, WELCOME), url));
    }
    return [describe('npm run dev: from a save to the new answer', seconds, 0.6)];
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
}

async function measureSave(file: string, url: string): Promise<number> {
  const name = `app-${Date.now()}`;
  const source = await readFile(file, 'utf8');
  const startedAt = performance.now();
  const changed = source.replace(/ = \{ name[^,]*,/, ` = { name: '${name}',`);
  assert.notEqual(changed, source, `${file} answers no name in the form that is known here`);
  await writeFile(file, changed);
  while ((await readName(url)) !== name) await sleep(5);
  return (performance.now() - startedAt) / 1_000;
}

async function readName(url: string): Promise<string | undefined> {
  const response = await fetch(url, { headers: { connection: 'close' } }).catch(() => undefined);
  const answer = (await response?.json().catch(() => undefined)) as { name: string } | undefined;
  return answer?.name;
}

/** Measures `npm test` with its build, in a copy, because this folder may be in use. */
export async function measureTests(): Promise<Result[]> {
  const folder = await makeFolder('test');
  await cp(ROOT, folder, {
    recursive: true,
    filter: (file) => !LEFT_OUT.includes(path.relative(ROOT, file)),
  });
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'), 'junction');
  const startedAt = performance.now();
  const [command = '', ...args] = [...pinServer('all'), 'npm', 'test'];
  const { status, stdout } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
  if (status !== 0)
    throw new Error(`npm test failed, so that its time says nothing:\n${stdout.slice(-4_000)}`);
  return [describe('npm test, with its build', [(performance.now() - startedAt) / 1_000], 60)];
}

function describe(title: string, seconds: number[], atMost: number): Result {
  return {
    title,
    unit: 's',
    decimals: 2,
    goal: { contestant: APP, atMost },
    rounds: { [APP]: seconds },
  };
}
