import { type Test, test } from 'tap';
import {
  DOWN,
  poll,
  startProcess,
  type TestProcess,
  waitForClosedPort,
} from '../../test/helper.ts';

const listWorkers = ({ lines }: TestProcess): number[] =>
  lines.filter(({ msg }) => msg.startsWith('Server listening')).map(({ pid }) => Number(pid));

const listDrained = ({ lines }: TestProcess): number[] =>
  lines.filter(({ msg }) => msg === 'Drained').map(({ pid }) => Number(pid));

/** Starts the built app with two workers. */
async function startWorkers(t: Test): Promise<TestProcess> {
  const environment = {
    DATABASE_URL: DOWN,
    SHUTDOWN_DELAY_MS: '100',
    WEB_CONCURRENCY: '2',
    RATE_LIMIT_MAX: '0',
  };
  const web = await startProcess(t, { entry: 'fixture', environment });
  await poll(() => listWorkers(web).length === 2);
  return web;
}

test('SIGTERM to all processes, as Heroku sends it, drains each worker once', async (t) => {
  const web = await startWorkers(t);
  for (const pid of [web.pid, ...listWorkers(web)]) process.kill(pid, 'SIGTERM');
  t.equal(await web.exited, 0);
  t.strictSame(listDrained(web).sort(), listWorkers(web).sort());
});

test('SIGTERM to one worker drains and replaces it while the port is served', async (t) => {
  const web = await startWorkers(t);
  const [stopped = 0] = listWorkers(web);
  process.kill(stopped, 'SIGTERM');
  const ask = async () => (await fetch(web.url, { headers: { connection: 'close' } })).status;
  await poll(async () => {
    // Many at once, so that some reach the worker while it ends.
    const statuses = await Promise.all(Array.from({ length: 20 }, ask));
    t.strictSame(new Set(statuses), new Set([200]));
    return listWorkers(web).length === 3;
  });
  t.strictSame(listDrained(web), [stopped]);
  web.signal('SIGTERM');
  t.equal(await web.exited, 0);
});

test('SIGKILL of the primary leaves no worker', async (t) => {
  const web = await startWorkers(t);
  web.signal('SIGKILL');
  // `exited` waits until the last worker has closed the output.
  t.equal(await web.exited, 'SIGKILL');
  await waitForClosedPort(web.url);
});
