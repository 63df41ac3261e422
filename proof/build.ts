import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const ROOT = path.dirname(import.meta.dirname);

/** Files that the build does not need and must not find. */
const LEFT_OUT = [
  '.git',
  '.tap',
  '.data',
  '.env',
  'dist',
  'examples',
  'node_modules',
  'proof',
  'test',
];

let folder: string | undefined;

/**
 * Runs `npm run build` once, in a temporary copy, because this folder may be in use.
 *
 * @returns the folder in which dist/ is
 */
export function buildApp(): string {
  folder ??= build();
  return folder;
}

function build(): string {
  const target = mkdtempSync(path.join(tmpdir(), 'poort-build-'));
  process.once('exit', () => rmSync(target, { recursive: true, force: true }));
  cpSync(ROOT, target, {
    recursive: true,
    filter: (file) => !LEFT_OUT.includes(path.relative(ROOT, file)),
  });
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(target, 'node_modules'), 'junction');
  const { status } = spawnSync('npm run --silent build', {
    cwd: target,
    stdio: 'inherit',
    shell: true,
  });
  if (status !== 0)
    throw new Error('The app could not be built: see the output of npm run build above');
  return target;
}
