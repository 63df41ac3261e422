import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { test } from 'tap';
import { createEmbeddedDatabase } from '../fixture/embedded-database.ts';
import { buildTestApp, captureLog, createFolder, poll, writeFiles } from '../helper.ts';

test('A job that the database hands over after the time-out is returned at once', async (t) => {
  const folder = await createFolder(t);
  const code = `export default {
    schema: {}, retries: 1, retryDelayMs: 1_000, timeoutMs: 30_000,
    run: ({ log, signal }) => {
      log.info('hold begins');
      signal.addEventListener('abort', () => log.info('hold is aborted'));
      return new Promise(() => undefined);
    },
  };`;
  await writeFiles(folder, { 'hold.js': code });
  const environment = {
    DATABASE_URL: `pglite:${await createEmbeddedDatabase()}`,
    SHUTDOWN_TIMEOUT_MS: '2000',
    SHUTDOWN_DELAY_MS: '0',
  };
  const { logger, lines } = captureLog();
  const jobs = [pathToFileURL(`${folder}/`)];
  const app = await buildTestApp(t, environment, { logger, jobs });
  app.jobs.take();
  const send = (options = {}) => app.jobs.send('hold' as never, {} as never, options);
  const count = (text: string) => lines.filter(({ msg }) => msg === text).length;
  await send();
  await poll(() => count('hold begins') === 1);
  // The transaction holds the one connection, so nothing else is answered until it ends.
  const [closed] = await app.db.transaction().execute(async (transaction) => {
    await send({ transaction });
    // The timer of the worker's next poll is shorter, so it asks for jobs before this one ends.
    await sleep(2_000);
    app.stop();
    const closing = t.rejects(app.jobs.close(), { message: /^Jobs given back, .*: 2$/ });
    await poll(() => count('hold is aborted') === 1);
    return [closing];
  });
  await closed;
  t.equal(count('hold begins'), 1);
  t.equal(count('job returned'), 2);
});
