import assert from 'node:assert/strict';
import { findPort, RunningProcess } from '../processes.ts';
import type { Tally } from '../tally.ts';

/** The app without all removable parts keeps the platform contract, without a database. */
export async function proveMinimalApp(tally: Tally, folder: string): Promise<void> {
  const start = (type: 'web' | 'release', environment = {}) =>
    new RunningProcess(process.execPath, [`dist/src/${type}.js`], { folder, environment });
  await tally.check(
    'The minimal app: release does nothing with an empty environment, and ends with 0',
    async () => {
      const release = start('release');
      assert.equal((await release.ended).code, 0, release.lines.join('\n'));
      assert.match(release.lines.at(-1)!, /"applied":\[\],"msg":"Nothing to apply"/);
    },
  );
  const port = await findPort();
  await using web = start('web', { PORT: `${port}` });
  const ask = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  await tally.check('The minimal app starts with PORT alone, without a database', async () => {
    await web.waitForLine('Server listening at');
    assert.deepEqual(await readAnswer(ask('/health/ready')), [
      200,
      { status: 'ready', services: {} },
    ]);
    const [status, { health, docs }] = await readAnswer(ask('/'));
    assert.deepEqual([status, health, docs], [200, '/health/ready', undefined]);
    assert.equal((await ask('/docs')).status, 404);
  });
  await tally.check('The minimal app drains at SIGTERM, and ends with 0', async () => {
    web.signal('SIGTERM');
    await web.waitForLine('Draining');
    assert.deepEqual(await readAnswer(ask('/health/ready')), [
      503,
      { status: 'draining', services: {} },
    ]);
    const answer = await ask('/');
    assert.deepEqual([answer.status, answer.headers.get('connection')], [200, 'close']);
    assert.deepEqual(await web.ended, { code: 0, signal: null });
    assert.match(web.lines.at(-1)!, /"msg":"Drained"/);
  });
}

// biome-ignore lint/suspicious/noExplicitAny: the answer is compared with the expected one.
async function readAnswer(asked: Promise<Response>): Promise<[number, any]> {
  const answer = await asked;
  return [answer.status, await answer.json()];
}
