import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Test, test } from 'tap';
import { DOWN, findFreePort, poll, writeFiles } from '../../test/helper.ts';
import { copySources, isServed, startDev } from './dev-process.ts';

/** Node watches a folder as at the system's limit, if UNWATCHED is a part of its path. */
const AT_LIMIT = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  const { watch } = fs;
  fs.watch = (folder, ...rest) => {
    if (folder.includes(process.env.UNWATCHED))
      throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    return watch(folder, ...rest);
  };
  syncBuiltinESMExports();
`;

async function copyAtLimit(t: Test, unwatched: string) {
  const folder = await copySources(t);
  await writeFiles(folder, { 'limit.mjs': AT_LIMIT });
  const limit = pathToFileURL(path.join(folder, 'limit.mjs')).href;
  return { folder, environment: { NODE_OPTIONS: `--import=${limit}`, UNWATCHED: unwatched } };
}

const REMEDY = 'raise the system\'s limit, as in "sudo sysctl fs.inotify.max_user_watches=524288"';

for (const unwatched of ['plugins', 'routes/late']) {
  test(`npm run dev goes on when ${unwatched} cannot be watched`, async (t) => {
    const { folder, environment } = await copyAtLimit(t, unwatched);
    const PORT = `${await findFreePort()}`;
    const dev = startDev(t, folder, { PORT, DATABASE_URL: DOWN, ...environment });
    await poll(() => dev.readOutput().includes(`http://localhost:${PORT}`));
    await mkdir(path.join(folder, 'routes/late'));
    await poll(() => dev.readOutput().includes(`${REMEDY}. Until then, restart by hand.`));
    await poll(() => isServed(`http://localhost:${PORT}`));
  });

  test(`npm run test:watch ends when ${unwatched} cannot be watched`, async (t) => {
    const { folder, environment } = await copyAtLimit(t, unwatched);
    const child = spawn(process.execPath, ['scripts/test-watch.ts'], {
      cwd: folder,
      env: { PATH: process.env.PATH, ...environment },
    });
    t.teardown(() => child.kill('SIGKILL'));
    const output: string[] = [];
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => output.push(`${data}`));
    const hasBegun = () => output.join('').includes('Watching') || child.exitCode !== null;
    await poll(hasBegun);
    await mkdir(path.join(folder, 'routes/late'));
    await poll(() => child.exitCode !== null);
    t.equal(child.exitCode, 1);
    t.match(output.join(''), `${REMEDY}. Until then, run the tests of a file by hand`);
  });
}
