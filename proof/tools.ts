import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';

/**
 * Installs the packages of proof/ or examples/ if they are missing or older than the lock file.
 *
 * @throws {Error} that names the folder, if npm ci fails
 */
export function installTools(folder: string): void {
  const installedAt = readTime(path.join(folder, 'node_modules/.package-lock.json'));
  if (installedAt >= readTime(path.join(folder, 'package-lock.json'))) return;
  const { status } = spawnSync('npm ci --ignore-scripts --no-audit --no-fund', {
    cwd: folder,
    stdio: 'inherit',
    shell: true,
  });
  if (status !== 0)
    throw new Error(`Its tools could not be installed: npm ci failed in ${path.basename(folder)}/`);
}

function readTime(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
