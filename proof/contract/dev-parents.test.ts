import { request } from 'node:http';
import { test } from 'tap';
import { DOWN, findFreePort, poll, waitForClosedPort, writeFiles } from '../../test/helper.ts';
import { copySources, findProcess, isRunning, isServed, startDev } from './dev-process.ts';

for (const [name, killed] of [
  ['npm', /npm run dev/],
  ['its script', /^\S*node .*scripts\/dev\.ts/],
] as const) {
  test(`npm run dev: SIGKILL of ${name} ends the app and frees its port`, async (t) => {
    const folder = await copySources(t);
    const url = `http://localhost:${await findFreePort()}`;
    const { group } = startDev(t, folder, { PORT: new URL(url).port, DATABASE_URL: DOWN });
    await poll(() => isServed(url));
    process.kill(findProcess(-group, killed), 'SIGKILL');
    await waitForClosedPort(url);
    await poll(() => !isRunning(group));
  });
}

/** A stream that never ends and ignores `app.stopping`. */
const STREAM = `
  import type { FastifyPluginAsync } from 'fastify';
  const route: FastifyPluginAsync = async (app) =>
    void app.get('/', (_request, reply) => void reply.hijack().raw.writeHead(200).write('open'));
  export default route;
`;

test('npm run dev restarts long before SHUTDOWN_TIMEOUT_MS while a stream is open', async (t) => {
  const folder = await copySources(t);
  await writeFiles(folder, { 'routes/stream/index.ts': STREAM });
  const url = `http://localhost:${await findFreePort()}`;
  const { readOutput } = startDev(t, folder, {
    PORT: new URL(url).port,
    DATABASE_URL: DOWN,
    SHUTDOWN_TIMEOUT_MS: '600000',
  });
  await poll(() => isServed(url));
  const client = request(`${url}/stream`)
    .on('error', () => {})
    .end();
  t.teardown(() => client.destroy());
  await new Promise((resolve) => client.once('response', resolve));
  await writeFiles(folder, { 'routes/hello/index.ts': STREAM });
  await poll(() => readOutput().split('Server listening').length > 1);
});

test('npm run dev -- --inspect=0 debugs the app and watches new folders', async (t) => {
  const folder = await copySources(t);
  const PORT = String(await findFreePort());
  const { readOutput } = startDev(t, folder, { PORT, DATABASE_URL: DOWN }, ['--inspect=0']);
  const countDebuggers = () => readOutput().split('Debugger listening on').length - 1;
  await poll(() => countDebuggers() === 1 && readOutput().includes(`http://localhost:${PORT}`));
  await writeFiles(folder, { 'jobs/first.ts': '' });
  await poll(() => countDebuggers() === 2);
});

test('npm run dev names the address of HOST, and what ended the app', async (t) => {
  const folder = await copySources(t);
  const PORT = String(await findFreePort());
  const { group, readOutput } = startDev(t, folder, {
    PORT,
    HOST: '127.0.0.2',
    DATABASE_URL: DOWN,
  });
  await poll(() => readOutput().includes(`http://127.0.0.2:${PORT}\n`));
  process.kill(findProcess(-group, /src\/web\.ts/), 'SIGKILL');
  await poll(() => readOutput().includes('The app was ended by SIGKILL. It restarts after'));
  await writeFiles(folder, { 'plugins/ends.ts': 'export default async () => process.exit(0);' });
  await poll(() => readOutput().includes('The app exited with code 0. It restarts after'));
  const mended = { 'plugins/ends.ts': 'export default async () => undefined;' };
  await writeFiles(folder, { 'routes/hello/index.ts': STREAM, ...mended });
  await poll(() => isServed(`http://127.0.0.2:${PORT}`));
  process.kill(group, 'SIGINT');
  process.kill(group, 'SIGINT');
  await poll(() => !isRunning(group));
  for (const end of ['exited with', 'was ended by'])
    t.equal(readOutput().split(end).length, 2, end);
});
