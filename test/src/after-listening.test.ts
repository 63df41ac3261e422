import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import Fastify from 'fastify';
import { test } from 'tap';
import { afterListening } from '../../src/after-listening.ts';
import { buildTestApp, createFolder, poll } from '../helper.ts';

test('What waits for the port does not run if the app closes before', async (t) => {
  const start = async () => {
    const app = Fastify();
    t.teardown(() => app.close());
    const stopping = new AbortController();
    app.decorate('stopping', stopping.signal);
    let runs = 0;
    afterListening(app, () => runs++);
    await app.listen({ host: '127.0.0.1', port: 0 });
    return { stopping, count: () => runs };
  };
  const open = await start();
  const closed = await start();
  closed.stopping.abort();
  await poll(() => open.count() === 1);
  t.equal(closed.count(), 0);
});

test('An app that closes at once opens no database afterwards', async (t) => {
  const folder = await createFolder(t);
  const app = await buildTestApp(t, { DATABASE_URL: `pglite:${folder}/database` });
  await app.listen({ host: '127.0.0.1', port: 0 });
  await app.close();
  await sleep(500);
  t.strictSame(await readdir(folder), []);
});
