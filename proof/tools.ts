import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';

/**
 * Installs what a folder with a package.json of its own needs, where that is missing or older than
 * its lock file: proof/ and examples/ have tools that the app does not need.
 *
 * @throws {Error} that names the folder, when npm ci fails in it
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
