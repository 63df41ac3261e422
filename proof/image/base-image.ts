import { execFile, execFileSync } from 'node:child_process';
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../docs/copy.ts';
import type { Buildah } from './buildah.ts';

const execute = promisify(execFile);

/**
 * Builds an image like Docker's official one of Node: Debian's minimal system, the Node of
 * package.json, npm, and a user "node".
 */
export async function createBaseImage(
  buildah: Buildah,
  name: string,
  folder: string,
): Promise<void> {
  const system = path.join(folder, 'system');
  await execute('debootstrap', ['--variant=minbase', '--include=libatomic1', 'bookworm', system]);
  const local = path.join(system, 'usr/local');
  await cp(path.join(ROOT, 'node_modules/node/bin/node'), path.join(local, 'bin/node'));
  await copyNpm(local);
  await execute('chroot', [system, 'useradd', '--uid', '1000', '--create-home', 'node']);
  const container = (await buildah.run('from', 'scratch')).trim();
  await buildah.run('copy', container, system, '/');
  await buildah.run('commit', '--rm', container, name);
}

/** Copies the npm that runs this proof, and its registry's configuration. */
async function copyNpm(local: string): Promise<void> {
  const packages = path.join(local, 'lib/node_modules');
  const npm = path.join(process.env.npm_execpath ?? '', '../..');
  await cp(npm, path.join(packages, 'npm'), { recursive: true, dereference: true });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', path.join(local, 'bin/npm'));
  const settings = [`registry=${readNpm('config', 'get', 'registry')}`, 'prefer-offline=true'];
  const certificates = process.env.NODE_EXTRA_CA_CERTS || readNpm('config', 'get', 'cafile');
  await mkdir(path.join(local, 'etc'), { recursive: true });
  if (path.isAbsolute(certificates)) {
    await cp(certificates, path.join(local, 'etc/certificates.pem'), { dereference: true });
    settings.push('cafile=/usr/local/etc/certificates.pem');
  }
  await writeFile(path.join(local, 'etc/npmrc'), `${settings.join('\n')}\n`);
}

export function readNpm(...args: string[]): string {
  return execFileSync('npm', args, { encoding: 'utf8' }).trim();
}
