import { pathToFileURL } from 'node:url';
import { sql } from 'kysely';
import { PgBoss } from 'pg-boss';
import { type Test, test } from 'tap';
import { createEmbeddedDatabase } from '../fixture/embedded-database.ts';
import { buildTestApp, captureLog, createFolder, poll, writeFiles } from '../helper.ts';

/** Starts a worker with one job, `hold`, which never ends and calls `noteAbort`. */
async function startHolding(t: Test, { retries = 1, SHUTDOWN_TIMEOUT_MS = '2000' } = {}) {
  const folder = await createFolder(t);
  const code = `export default {
    schema: {}, retries: ${retries}, retryDelayMs: 1_000, timeoutMs: 30_000,
    run: ({ log, signal }) => {
      log.info('hold begins');
      signal.addEventListener('abort', () => globalThis.noteAbort());
      return new Promise(() => undefined);
    },
  };`;
  await writeFiles(folder, { 'hold.js': code });
  const DATABASE_URL = `pglite:${await createEmbeddedDatabase()}`;
  const environment = { DATABASE_URL, SHUTDOWN_TIMEOUT_MS, SHUTDOWN_DELAY_MS: '0' };
  const { logger, lines } = captureLog();
  const jobs = [pathToFileURL(`${folder}/`)];
  const app = await buildTestApp(t, environment, { logger, jobs });
  app.jobs.take();
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  Reflect.set(globalThis, 'noteAbort', resolve);
  const send = () => app.jobs.send('hold' as never, {} as never);
  const count = (text: string) => lines.filter(({ msg }) => msg === text).length;
  const listStates = async () =>
    (await sql<{ state: string }>`select state from pgboss.job`.execute(app.db)).rows.map(
      ({ state }) => state,
    );
  return { app, lines, aborted, send, count, listStates };
}

/** The database's answers with jobs come only after `late`. */
function delayAnswers(t: Test, late: Promise<void>): void {
  const { fetch } = PgBoss.prototype;
  t.capture(PgBoss.prototype, 'fetch', async function (this: PgBoss, ...args: [string]) {
    const found = await Reflect.apply(fetch, this, args);
    await late;
    return found;
  });
}

test('A job that the database hands over after the time-out is returned at once', async (t) => {
  const { app, aborted, send, count, listStates } = await startHolding(t);
  await send();
  await poll(() => count('hold begins') === 1);
  delayAnswers(t, aborted);
  await send();
  await poll(async () => (await listStates()).join() === 'active,active');
  app.stop();
  await t.rejects(app.jobs.close(), { message: /^Jobs given back, .*: 2$/ });
  t.equal(count('hold begins'), 1);
  t.equal(count('job returned'), 2);
});

test('A job that the database hands over after the end is left to another worker', async (t) => {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  delayAnswers(t, closed);
  const { app, send, count, listStates } = await startHolding(t);
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
  const { app, lines, send, count, listStates } = await startHolding(t, options);
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
