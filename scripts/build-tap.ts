import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { findPackageFile } from './package-file.ts';

/**
 * The build of tap's plugins creates this link. By default, tap builds them in its first run, which
 * fails: that run still uses the default plugins, with TypeScript's. So they are built before.
 */
const BUILT = findPackageFile('@tapjs/test', 'test-built/node_modules');

if (!existsSync(BUILT)) {
  const { status } = spawnSync('tap build', { stdio: 'inherit', shell: true });
  if (status !== 0) process.exit(status ?? 1);
}
