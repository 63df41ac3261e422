import { pathToFileURL } from 'node:url';
import { sql } from 'kysely';
import { PgBoss } from 'pg-boss';
import { test } from 'tap';
import { createEmbeddedDatabase } from '../fixture/embedded-database.ts';
import { buildTestApp, captureLog, createFolder, poll, writeFiles } from '../helper.ts';

test('A job that the database hands over after the time-out is returned at once', async (t) => {
  const folder = await createFolder(t);
  const code = `export default {
    schema: {}, retries: 1, retryDelayMs: 1_000, timeoutMs: 30_000,
    run: ({ log, signal }) => {
      log.info('hold begins');
      signal.addEventListener('abort', globalThis.noteAbort);
      return new Promise(() => undefined);
    },
  };`;
  await writeFiles(folder, { 'hold.js': code });
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  Reflect.set(globalThis, 'noteAbort', resolve);
  const environment = {
    DATABASE_URL: `pglite:${await createEmbeddedDatabase()}`,
    SHUTDOWN_TIMEOUT_MS: '2000',
    SHUTDOWN_DELAY_MS: '0',
  };
  const { logger, lines } = captureLog();
  const jobs = [pathToFileURL(`${folder}/`)];
  const app = await buildTestApp(t, environment, { logger, jobs });
  app.jobs.take();
  const send = () => app.jobs.send('hold' as never, {} as never);
  const count = (text: string) => lines.filter(({ msg }) => msg === text).length;
  await send();
  await poll(() => count('hold begins') === 1);
  const { fetch } = PgBoss.prototype;
  t.capture(PgBoss.prototype, 'fetch', async function (this: PgBoss, ...args: [string]) {
    const found = await Reflect.apply(fetch, this, args);
    await aborted;
    return found;
  });
  await send();
  await poll(async () => {
    const { rows } = await sql`select from pgboss.job where state = 'active'`.execute(app.db);
    return rows.length === 2;
  });
  app.stop();
  await t.rejects(app.jobs.close(), { message: /^Jobs given back, .*: 2$/ });
  t.equal(count('hold begins'), 1);
  t.equal(count('job returned'), 2);
});

test('A job without retries is not run again after a stop', async (t) => {
  const folder = await createFolder(t);
  const code = `export default {
    schema: {}, retries: 0, retryDelayMs: 0, timeoutMs: 30_000,
    run: ({ log }) => {
      log.info('pay begins');
      return new Promise(() => undefined);
    },
  };`;
  await writeFiles(folder, { 'pay.js': code });
  const environment = {
    DATABASE_URL: `pglite:${await createEmbeddedDatabase()}`,
    SHUTDOWN_TIMEOUT_MS: '500',
    SHUTDOWN_DELAY_MS: '0',
  };
  const { logger, lines } = captureLog();
  const jobs = [pathToFileURL(`${folder}/`)];
  const app = await buildTestApp(t, environment, { logger, jobs });
  app.jobs.take();
  await app.jobs.send('pay' as never, {} as never);
  await poll(() => lines.some(({ msg }) => msg === 'pay begins'));
  app.stop();
  await t.resolves(app.jobs.close(), 'nothing is given back');
  t.match(
    lines.find(({ outcome }) => outcome),
    { level: 50, outcome: 'failed', err: { message: /stopped before the end.*no retries/ } },
  );
  const { rows } = await sql`select state from pgboss.job`.execute(app.db);
  t.strictSame(rows, [{ state: 'failed' }]);
});
