// The buildpacks' steps in order: npm ci, build without a network, prune, then the Procfile
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, copyFile, mkdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { copyTree } from '../docs/copy.ts';
import { expectSuccess } from '../docs/shell.ts';
import { PostgresServer } from '../postgres.ts';
import { makeFolder, pickUser, RunningProcess } from '../processes.ts';
import type { Tally } from '../tally.ts';
import { provePass, type Slug } from './slug.ts';

/** The machine's PATH, without the folders that npm adds. */
const MACHINE_PATH = (process.env.PATH ?? '')
  .split(':')
  .filter((folder) => !folder.includes('node_modules'));

export async function prove(tally: Tally): Promise<void> {
  await using postgres = await PostgresServer.create();
  const node = await installNode();
  let slug: Slug;
  await tally.check(
    'contract 24: release and web run after npm ci, npm run build and npm prune --omit=dev',
    async () => {
      slug = await build('npm ci', MACHINE_PATH, node);
      return await provePass(slug, postgres);
    },
  );
  await tally.check('contract 9: The app runs as another user, on read-only files', () =>
    proveReadOnly(slug, postgres),
  );
  await tally.check('npm ci --ignore-scripts is enough on the Node of package.json', async () => {
    const slug = await build('npm ci --ignore-scripts', [node, ...MACHINE_PATH], node);
    return await provePass(slug, postgres);
  });
}

/** Builds as a buildpack does. The build has no network, not even loopback, and no settings. */
async function build(install: string, searched: string[], node: string): Promise<Slug> {
  const folder = await copyTree('buildpack');
  // This is only a link to the packages of the original.
  await unlink(path.join(folder, 'node_modules'));
  const PATH = searched.join(':');
  const installing = { ...readEnvironment(), PATH, npm_config_audit: 'false' };
  await expectSuccess(folder, install, installing);
  await expectSuccess(folder, 'unshare --map-root-user --net npm run build', {
    PATH,
    HOME: process.env.HOME,
  });
  await expectSuccess(folder, 'npm prune --omit=dev', installing);
  assert(
    !existsSync(path.join(folder, 'node_modules/typescript')),
    'development dependencies are pruned',
  );
  return { folder, path: `${node}:/usr/bin:/bin`, procfile: readProcfile(folder) };
}

/**
 * The machine's environment, which may configure the registry, without the variables that npm adds.
 */
function readEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')),
  );
}

export function readProcfile(folder: string): Slug['procfile'] {
  const lines = readFileSync(path.join(folder, 'Procfile'), 'utf8').trimEnd().split('\n');
  return new Map(lines.map((line) => line.split(': ') as [string, string]));
}

/**
 * Installs the Node of package.json as a platform does: beside the app, for each user.
 *
 * @returns its folder
 */
async function installNode(): Promise<string> {
  const folder = await makeFolder('node');
  await chmod(folder, 0o755);
  await mkdir(path.join(folder, 'bin'));
  await copyFile(process.execPath, path.join(folder, 'bin/node'));
  return path.join(folder, 'bin');
}

async function proveReadOnly(slug: Slug, postgres: PostgresServer): Promise<string> {
  execFileSync('chmod', ['-R', 'a-w,a+rX', slug.folder]);
  try {
    await proveUnwritable(slug);
    return await provePass({ ...slug, user: pickUser() }, postgres);
  } finally {
    execFileSync('chmod', ['-R', 'u+w', slug.folder]);
  }
}

/** Writable files would let the check pass. */
async function proveUnwritable({ folder }: Slug): Promise<void> {
  for (const file of ['dist/new', 'package.json']) {
    const args = ['-c', `echo >> ${path.join(folder, file)}`];
    const { code } = await new RunningProcess('/bin/sh', args, { folder, user: pickUser() }).ended;
    assert.notEqual(code, 0, `${file} is writable`);
  }
}
