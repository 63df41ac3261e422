import { mkdir, readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'tap';
import { createEmbeddedDatabase } from '../../test/fixture/embedded-database.ts';
import { findFreePort, poll, writeFiles } from '../../test/helper.ts';
import { copySources, isRunning, startDev } from './dev-process.ts';

test('npm run dev prefers the DATABASE_URL of .env to that of .env.example', async (t) => {
  const folder = await copySources(t);
  const port = await findFreePort();
  await writeFiles(folder, { '.env': 'DATABASE_URL=pglite:.data/mine\nAUTH_ISSUER_URL=\n' });
  await mkdir(path.join(folder, '.data'));
  await rename(await createEmbeddedDatabase(), path.join(folder, '.data/mine'));
  const { exited, group, readOutput } = startDev(t, folder, { PORT: String(port) });
  const countStarts = () => readOutput().split('The embedded database is open').length - 1;
  // A readiness check opens the database. The app may not listen yet.
  const isReady = () =>
    fetch(`http://localhost:${port}/health/ready`).then(
      ({ status }) => status === 200,
      () => false,
    );
  await poll(async () => (await isReady()) && countStarts() >= 1);
  t.strictSame(await readdir(path.join(folder, '.data')), ['mine', 'mine.lock', 'mine.lock.db']);
  await writeFiles(folder, { 'routes/hello/index.ts': 'export default async () => {};' });
  await poll(async () => (await isReady()) && countStarts() >= 2);
  t.notMatch(readOutput(), 'Creating the embedded database');
  process.kill(group, 'SIGINT');
  await exited;
  await poll(() => !isRunning(group));
});
