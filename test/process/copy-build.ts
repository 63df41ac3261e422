import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import type { Test } from 'tap';
import { createFolder, ROOT } from '../helper.ts';

/** What the build reads, beside package.json and node_modules. */
export const SOURCES = [
  'src',
  'plugins',
  'routes',
  'jobs',
  'scripts',
  'tsconfig.json',
  'tsconfig.build.json',
  '.env.example',
];

/**
 * A copy of the built app in a folder of its own, with all packages but those that the test leaves
 * out.
 */
export async function copyBuild(t: Test, without: string[] = []): Promise<string> {
  const folder = await createFolder(t);
  for (const name of ['dist', 'package.json']) {
    await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  }
  await mkdir(path.join(folder, 'node_modules'));
  const packages = await readdir(path.join(ROOT, 'node_modules'));
  for (const name of packages.filter((name) => !without.includes(name))) {
    await symlink(path.join(ROOT, 'node_modules', name), path.join(folder, 'node_modules', name));
  }
  return folder;
}
