import { execFileSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { cp, symlink } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '../processes.ts';

export const ROOT = path.join(import.meta.dirname, '../..');

/**
 * A fresh copy in a temporary folder: what git has or would add, and the packages that are
 * installed here.
 *
 * @returns the folder
 */
export async function copyTree(name: string): Promise<string> {
  const folder = await makeFolder(name);
  for (const file of listFiles()) await cp(path.join(ROOT, file), path.join(folder, file));
  await linkPackages(folder);
  return folder;
}

/** The packages are shared with this tree: whatever would change them is not for a copy. */
export async function linkPackages(folder: string): Promise<void> {
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'), 'junction');
}

function listFiles(): string[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const files = execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).split('\0');
  return [...new Set(files)].filter((file) => file && existsSync(path.join(ROOT, file)));
}

/** The pages of which every command, link and name is checked. */
export function listPages(): string[] {
  return ['README.md', ...globSync('docs/**/*.md', { cwd: ROOT }).sort()];
}
