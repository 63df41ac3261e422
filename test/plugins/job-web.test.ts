import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Test, test } from 'tap';
import { openHttpListener } from '../../src/listener.ts';
import { createEmbeddedDatabase } from '../fixture/embedded-database.ts';
import { buildTestApp, captureLog, createFolder, poll, writeFiles } from '../helper.ts';

const JOBS = [new URL('../fixture/jobs/', import.meta.url)];

/** Hooks of an owner's plugin, which may be loaded before or after the jobs. */
const HOOKS = `export default Object.assign(async (app) => {
  app.addHook('preClose', async () => app.log.info('preClose'));
  app.addHook('onClose', async () => app.log.info('onClose'));
}, { [Symbol.for('skip-override')]: true });`;

/** Starts `web` with JOBS_IN_WEB and with a running job. */
async function startWeb(t: Test, how: 'wait' | 'hang', environment = {}) {
  const folder = await createFolder(t);
  await writeFiles(folder, { 'plugins/hooks.js': HOOKS });
  const { logger, lines } = captureLog();
  const settings = {
    DATABASE_URL: `pglite:${await createEmbeddedDatabase()}`,
    JOBS_IN_WEB: 'true',
    SHUTDOWN_DELAY_MS: '0',
    ...environment,
  };
  const plugins = [new URL('../../plugins/', import.meta.url), pathToFileURL(`${folder}/plugins/`)];
  const app = await buildTestApp(t, settings, { logger, jobs: JOBS, plugins });
  const listener = openHttpListener(app);
  await listener.listen({ host: '127.0.0.1', port: 0 });
  const file = path.join(folder, 'end');
  await app.jobs.send('work', { how, file });
  const has = (text: string) => lines.some(({ msg }) => msg === text);
  await poll(() => has(`${how} begins`));
  return { listener, lines, has, end: () => writeFileSync(file, '') };
}

test('web stops: preClose hooks run, running jobs end, then onClose hooks run', async (t) => {
  const { listener, lines, has, end } = await startWeb(t, 'wait');
  const closed = listener.close();
  await poll(() => has('preClose'));
  t.notOk(has('job done'));
  end();
  await closed;
  const order = lines.map(({ msg }) => msg).filter((msg) => /Close$|^job /.test(msg));
  t.strictSame(order, ['preClose', 'job done', 'onClose']);
});

test('web stops with an error if it gives a job back, after all hooks', async (t) => {
  const { listener, lines } = await startWeb(t, 'hang', { SHUTDOWN_TIMEOUT_MS: '3000' });
  const message = 'Jobs given back, not done within SHUTDOWN_TIMEOUT_MS: 1';
  await t.rejects(listener.close(), { message });
  const order = lines.map(({ msg }) => msg).filter((msg) => /Close$|^job /.test(msg));
  t.strictSame(order, ['preClose', 'job returned', 'onClose']);
});
