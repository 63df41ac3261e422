import { execFileSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { cp, symlink } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '../processes.ts';

export const ROOT = path.join(import.meta.dirname, '../..');

/**
 * Copies what git has or would add to a temporary folder, and links the installed packages.
 *
 * @returns the folder
 */
export async function copyTree(name: string): Promise<string> {
  const folder = await makeFolder(name);
  for (const file of listFiles()) await cp(path.join(ROOT, file), path.join(folder, file));
  await linkPackages(folder);
  return folder;
}

/** Links the packages of this tree. A copy must not run what would change them. */
export async function linkPackages(folder: string): Promise<void> {
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'), 'junction');
}

function listFiles(): string[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const files = execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).split('\0');
  return [...new Set(files)].filter((file) => file && existsSync(path.join(ROOT, file)));
}

/** The pages whose commands, links and file names are checked. */
export function listPages(): string[] {
  return ['README.md', ...globSync('docs/**/*.md', { cwd: ROOT }).sort()];
}
