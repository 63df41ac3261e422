import { pathToFileURL } from 'node:url';
import { sql } from 'kysely';
import { test } from 'tap';
import { buildTestApp, captureLog, createFolder, poll, writeFiles } from '../helper.ts';
import { startPostgres } from './postgres-server.ts';

test('A job that the database hands over after the time-out is returned at once', async (t) => {
  const postgres = await startPostgres(t);
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
    DATABASE_URL: postgres.url,
    SHUTDOWN_TIMEOUT_MS: '2000',
    SHUTDOWN_DELAY_MS: '0',
  };
  const { logger, lines } = captureLog();
  const jobs = [pathToFileURL(`${folder}/`)];
  const app = await buildTestApp(t, environment, { logger, jobs });
  await app.readiness.release();
  app.jobs.take();
  const send = (options = {}) => app.jobs.send('hold' as never, {} as never, options);
  const count = (text: string) => lines.filter(({ msg }) => msg === text).length;
  await send();
  await poll(() => count('hold begins') === 1);
  const observer = await postgres.connect();
  const isAsked = async () => {
    const { rows } = await observer.query(`select query from pg_stat_activity
      where wait_event_type = 'Lock' and query ilike '%skip locked%'`);
    return rows.length > 0;
  };
  const closed = await app.db.transaction().execute(async (transaction) => {
    await sql`lock table pgboss.job_common in access exclusive mode`.execute(transaction);
    await poll(isAsked);
    await send({ transaction });
    const closing = t.rejects(app.jobs.close(), { message: /^Jobs given back, .*: 2$/ });
    await poll(() => count('hold is aborted') === 1);
    return [closing];
  });
  await closed[0];
  t.equal(count('hold begins'), 1);
  t.equal(count('job returned'), 2);
});
