import { once } from 'node:events';
import { pathToFileURL } from 'node:url';
import { sql } from 'kysely';
import { PgBoss } from 'pg-boss';
import { type Test, test } from 'tap';
import { createEmbeddedDatabase } from '../fixture/embedded-database.ts';
import { buildTestApp, captureLog, createFolder, poll, writeFiles } from '../helper.ts';

/** What the database's answers with jobs wait for, by the name of the job. */
const delays = new Map<string, Promise<unknown>>();

// Once, and by name, because the tests run concurrently.
const { fetch } = PgBoss.prototype;
PgBoss.prototype.fetch = async function (this: PgBoss, ...args: [string]) {
  const found = await Reflect.apply(fetch, this, args);
  await delays.get(args[0]);
  return found;
} as typeof fetch;

/** Starts a worker with one job, which never ends and dispatches its name when it is aborted. */
async function startHolding(
  t: Test,
  name: string,
  { retries = 1, SHUTDOWN_TIMEOUT_MS = '2000' } = {},
) {
  const folder = await createFolder(t);
  const code = `export default {
    schema: {}, retries: ${retries}, retryDelayMs: 1_000, timeoutMs: 30_000,
    run: ({ log, signal }) => {
      log.info('hold begins');
      signal.addEventListener('abort', () => process.emit('${name}'));
      return new Promise(() => undefined);
    },
  };`;
  await writeFiles(folder, { [`${name}.js`]: code });
  const DATABASE_URL = `pglite:${await createEmbeddedDatabase()}`;
  const environment = { DATABASE_URL, SHUTDOWN_TIMEOUT_MS, SHUTDOWN_DELAY_MS: '0' };
  const { logger, lines } = captureLog();
  const jobs = [pathToFileURL(`${folder}/`)];
  const app = await buildTestApp(t, environment, { logger, jobs });
  app.jobs.take();
  const send = () => app.jobs.send(name as never, {} as never);
  const count = (text: string) => lines.filter(({ msg }) => msg === text).length;
  const listStates = async () =>
    (await sql<{ state: string }>`select state from pgboss.job`.execute(app.db)).rows.map(
      ({ state }) => state,
    );
  return { app, lines, send, count, listStates };
}

test('A job that the database hands over after the time-out is returned at once', async (t) => {
  const { app, send, count, listStates } = await startHolding(t, 'late');
  await send();
  await poll(() => count('hold begins') === 1);
  delays.set('late', once(process, 'late'));
  await send();
  await poll(async () => (await listStates()).join() === 'active,active');
  app.stop();
  await t.rejects(app.jobs.close(), { message: /^Jobs given back, .*: 2$/ });
  t.equal(count('hold begins'), 1);
  t.equal(count('job returned'), 2);
});

test('A job that the database hands over after the end is left to another worker', async (t) => {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  delays.set('closed', closed);
  const { app, send, count, listStates } = await startHolding(t, 'closed');
  await send();
  await poll(async () => (await listStates()).join() === 'active');
  app.stop();
  await app.jobs.close();
  resolve();
  // Later than what follows the answer.
  t.strictSame(await listStates(), ['active']);
  t.equal(count('hold begins'), 0);
});

test('A job without retries is not run again after a stop', async (t) => {
  const options = { retries: 0, SHUTDOWN_TIMEOUT_MS: '500' };
  const { app, lines, send, count, listStates } = await startHolding(t, 'once', options);
  await send();
  await poll(() => count('hold begins') === 1);
  app.stop();
  await t.resolves(app.jobs.close(), 'nothing is given back');
  t.match(
    lines.find(({ outcome }) => outcome),
    { level: 50, outcome: 'failed', err: { message: /stopped before the end.*no retries/ } },
  );
  t.strictSame(await listStates(), ['failed']);
});
