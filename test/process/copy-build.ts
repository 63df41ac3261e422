import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import type { Test } from 'tap';
import { createFolder, ROOT } from '../helper.ts';

/** The files of the build, beside package.json and node_modules. */
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

/** Copies the built app to a new folder, with all packages except `without`. */
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
