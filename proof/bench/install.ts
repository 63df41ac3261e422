import { execFile } from 'node:child_process';
import { cp, readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { buildApp } from '../build.ts';
import { makeFolder } from '../processes.ts';
import { APP } from './contestants.ts';
import type { Result } from './rounds.ts';

const execute = promisify(execFile);

const MEBIBYTE = 1024 * 1024;

/** Packages of plugins/telemetry, which are not installed after its removal. */
const TELEMETRY = 'node_modules/@opentelemetry';

/** Measures what production gets: `npm ci --omit=dev`, and dist/. */
export async function measureInstall(): Promise<Result[]> {
  const built = buildApp();
  const folder = await makeFolder('install');
  for (const file of ['package.json', 'package-lock.json'])
    await cp(path.join(built, file), path.join(folder, file));
  await execute('npm', ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
  });
  const size =
    (await readSize(path.join(folder, 'node_modules'))) -
    (await readSize(path.join(folder, TELEMETRY))) +
    (await readSize(path.join(built, 'dist')));
  return [
    describe("Production install and dist/, without telemetry's", 'MiB', size / MEBIBYTE, 32),
    describe("Packages in production, without telemetry's", '', await countPackages(folder), 100),
  ];
}

async function readSize(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(async (file) => (await stat(path.join(file.parentPath, file.name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function countPackages(folder: string): Promise<number> {
  const lock = JSON.parse(
    await readFile(path.join(folder, 'node_modules/.package-lock.json'), 'utf8'),
  );
  return Object.keys(lock.packages).filter((name) => !name.startsWith(TELEMETRY)).length;
}

function describe(title: string, unit: string, figure: number, atMost: number): Result {
  const goal = { contestant: APP, atMost };
  return { title, unit, decimals: unit ? 1 : 0, goal, rounds: { [APP]: [figure] } };
}
