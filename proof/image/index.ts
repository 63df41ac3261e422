// deploy/Dockerfile: buildah builds the image; it runs read-only, as process 1 of a user
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { copyTree } from '../docs/copy.ts';
import { PostgresServer } from '../postgres.ts';
import { findPort, makeFolder } from '../processes.ts';
import type { Tally } from '../tally.ts';
import { createBaseImage, readNpm } from './base-image.ts';
import { Buildah } from './buildah.ts';
import { Container, type ImageConfig } from './container.ts';

/** The base image of the Dockerfile. */
const BASE = 'node:26-slim';

export async function prove(tally: Tally): Promise<void> {
  const folder = await makeFolder('image');
  const buildah = new Buildah(folder);
  await createBaseImage(buildah, BASE, folder);
  await tally.check('deploy/Dockerfile can be built', () => buildImage(buildah));
  const config = await readConfig(buildah);
  const root = await mountImage(buildah);
  await tally.check('The image has no development dependency, no source and no settings', () =>
    proveContent(root),
  );
  await using postgres = await PostgresServer.create();
  await tally.check(
    'contract 34: Process 1 is Node, unprivileged, on a read-only root file system',
    () => proveRun(root, config, postgres.url),
  );
}

async function buildImage(buildah: Buildah): Promise<void> {
  const tree = await copyTree('image');
  // Only Docker's format has HEALTHCHECK.
  const options = ['--isolation', 'chroot', '--format', 'docker', '--pull-never'];
  const cache = ['--volume', `${readNpm('config', 'get', 'cache')}:/root/.npm`];
  const file = ['--file', path.join(tree, 'deploy/Dockerfile')];
  await buildah.run('build', ...options, ...cache, ...file, '--tag', 'app', tree);
}

async function readConfig(buildah: Buildah): Promise<ImageConfig> {
  const { Docker } = JSON.parse(await buildah.run('inspect', '--type', 'image', 'app'));
  return Docker.config;
}

async function mountImage(buildah: Buildah): Promise<string> {
  const container = (await buildah.run('from', '--pull-never', 'app')).trim();
  return (await buildah.run('mount', container)).trim();
}

function proveContent(root: string): void {
  for (const name of ['typescript', 'tap', '@electric-sql/pglite', 'node', '@biomejs/biome'])
    assert(!existsSync(path.join(root, 'app/node_modules', name)), `${name} is in the image`);
  for (const name of ['src', 'test', '.env', '.env.example', '.git'])
    assert(!existsSync(path.join(root, 'app', name)), `${name} is in the image`);
  assert(existsSync(path.join(root, 'app/dist/src/web.js')));
}

async function proveRun(root: string, config: ImageConfig, url: string): Promise<string> {
  const port = await findPort();
  const environment = { DATABASE_URL: url, PORT: `${port}`, SHUTDOWN_DELAY_MS: '500' };
  const start = (command: string[]) => new Container(root, config, command, environment);
  const write = start(['node', '-e', "fs.writeFileSync('/home/node/file', '')"]);
  assert.notEqual((await write.ended).code, 0, 'the root file system is writable');
  assert.match(write.lines.join('\n'), /EROFS/);
  const release = start(['node', 'dist/src/release.js']);
  assert.equal((await release.ended).code, 0, release.lines.join('\n'));
  await using web = start(config.Cmd);
  await web.waitForLine('Server listening at');
  assert.deepEqual(web.readStatus(), { command: 'node', pid: '1', uid: '1000' });
  const address = `http://127.0.0.1:${port}`;
  const answer = await fetch(`${address}/notes`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"title":"In an image"}',
  });
  assert.equal(answer.status, 201, web.lines.join('\n'));
  const [, ...healthCheck] = config.Healthcheck.Test;
  assert.equal((await start(healthCheck).ended).code, 0, 'the health check passes');
  web.stop();
  await web.waitForLine('Draining');
  assert.equal((await fetch(address)).status, 200, 'a request while it drains');
  assert.deepEqual(await web.ended, { code: 0, signal: null });
  assert.equal((await start(healthCheck).ended).code, 1, 'the health check fails after the end');
  return `${config.Cmd.join(' ')}, user ${config.User}`;
}
