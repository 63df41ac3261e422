import { setTimeout as sleep } from 'node:timers/promises';
import Fastify from 'fastify';
import { test } from 'tap';
import { afterListening } from '../../src/after-listening.ts';
import { buildTestApp, captureLog } from '../helper.ts';

test('What waits for the port does not run if the app closes before', async (t) => {
  const start = async () => {
    const app = Fastify();
    t.teardown(() => app.close());
    const stopping = new AbortController();
    app.decorate('stopping', stopping.signal);
    let runs = 0;
    afterListening(app, 20, () => runs++);
    await app.listen({ host: '127.0.0.1', port: 0 });
    return { stopping, count: () => runs };
  };
  const open = await start();
  const closed = await start();
  closed.stopping.abort();
  await sleep(200);
  t.equal(open.count(), 1);
  t.equal(closed.count(), 0);
});

test('An app that closes at once connects to nothing afterwards', async (t) => {
  const { logger, lines } = captureLog();
  const app = await buildTestApp(t, {}, { logger });
  await app.listen({ host: '127.0.0.1', port: 0 });
  await app.close();
  lines.length = 0;
  await sleep(300);
  t.strictSame(lines, []);
});
