import { spawn } from 'node:child_process';
import { cp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'tap';
import {
  createFolder,
  DOWN,
  findFreePort,
  NODE,
  poll,
  ROOT,
  writeFiles,
} from '../../test/helper.ts';
import { copySources, isRunning, startDev } from './dev-process.ts';

/** Resolves when the app gives the expected answer; ignores earlier errors. */
const pollAnswer = (url: string, expected: string) =>
  poll(
    async () =>
      (await fetch(url).then(
        (answer) => answer.text(),
        () => '',
      )) === expected,
  );

/** A route whose answer ends with LOG_LEVEL: debug in .env.example, info in .env. */
const createRoute = (answer: string) => `
  import type { FastifyPluginAsync } from 'fastify';
  const route: FastifyPluginAsync = async (app) =>
    void app.get('/', async () => '${answer} at ' + app.config.LOG_LEVEL);
  export default route;
`;

test('npm run dev', async (t) => {
  const folder = await copySources(t);
  const port = await findFreePort();
  const url = `http://localhost:${port}`;
  // Editors of Windows begin UTF-8 files with a byte order mark.
  await writeFiles(folder, { '.env': `\u{FEFF}LOG_LEVEL=info\nPORT=1\nDATABASE_URL=${DOWN}\n` });
  const { exited, group, readOutput } = startDev(t, folder, { PORT: String(port) });

  await t.test('The port of the environment wins over .env', async () => {
    await poll(() => readOutput().includes(`http://localhost:${port}\n`));
  });

  await t.test('Logs are readable for people', async (t) => {
    await fetch(`${url}/?token=hunter2`);
    await poll(() => / GET \/ 200/.test(readOutput()));
    t.notMatch(readOutput(), /^\{/m);
    t.notMatch(readOutput(), 'hunter2');
  });

  await t.test(
    'A new route file is served, with the settings of .env over .env.example',
    async () => {
      await writeFiles(folder, { 'routes/hello/index.ts': createRoute('Hello') });
      await pollAnswer(`${url}/hello`, 'Hello at info');
    },
  );

  await t.test('A changed route file is served', async () => {
    await writeFiles(folder, { 'routes/hello/index.ts': createRoute('Hello again') });
    await pollAnswer(`${url}/hello`, 'Hello again at info');
  });

  await t.test('A file with an error makes npm run dev wait for the next change', async () => {
    await writeFiles(folder, { 'routes/hello/index.ts': 'export default async (app) => {' });
    await poll(() => readOutput().includes('SyntaxError'));
    await writeFiles(folder, { 'routes/hello/index.ts': createRoute('Hello at last') });
    await pollAnswer(`${url}/hello`, 'Hello at last at info');
  });

  for (const level of ['warn', 'error'])
    await t.test(`A change of .env to LOG_LEVEL=${level} restarts the app with it`, async () => {
      await writeFiles(folder, { '.env': `PORT=1\nLOG_LEVEL=${level}\nDATABASE_URL=${DOWN}\n` });
      await pollAnswer(`${url}/hello`, `Hello at last at ${level}`);
    });

  await t.test('One Ctrl-C stops the app and leaves no process', async () => {
    process.kill(group, 'SIGINT');
    await exited;
    await poll(() => !isRunning(group));
  });
});

/** A route whose answer comes from a thread, and from a child process that gets two messages. */
const THREADS = {
  'routes/threads/index.ts': `
    import { fork } from 'node:child_process';
    import { once } from 'node:events';
    import { Worker } from 'node:worker_threads';
    export default async (app) => app.get('/', async () => {
      const worker = new Worker(new URL('thread.ts', import.meta.url));
      const [thread] = await once(worker, 'message');
      const child = fork(new URL('child.ts', import.meta.url));
      const [greeting] = await once(child, 'message');
      child.send('one');
      child.send('two');
      const [answer] = await once(child, 'message');
      child.disconnect();
      return [thread, greeting, answer].join(' ');
    });`,
  'routes/threads/thread.ts': `
    import { parentPort } from 'node:worker_threads';
    parentPort!.postMessage('thread');`,
  'routes/threads/child.ts': `
    process.send!('hello');
    process.once('message', (message) => process.send!(message));`,
};

for (const WEB_CONCURRENCY of ['1', '2'])
  test(`npm run dev runs threads and child processes of ${WEB_CONCURRENCY} app`, async (t) => {
    const folder = await copySources(t);
    await writeFiles(folder, THREADS);
    const PORT = String(await findFreePort());
    startDev(t, folder, { PORT, DATABASE_URL: DOWN, WEB_CONCURRENCY });
    await pollAnswer(`http://localhost:${PORT}/threads`, 'thread hello one');
    // Also in the process that was created in advance.
    await writeFiles(folder, { 'routes/hello/index.ts': createRoute('Hello') });
    await pollAnswer(`http://localhost:${PORT}/hello`, 'Hello at debug');
    await pollAnswer(`http://localhost:${PORT}/threads`, 'thread hello one');
  });

test('WEB_CONCURRENCY=2 npm run dev serves the app and restarts it', async (t) => {
  const folder = await copySources(t);
  const url = `http://localhost:${await findFreePort()}`;
  startDev(t, folder, { PORT: new URL(url).port, DATABASE_URL: DOWN, WEB_CONCURRENCY: '2' });
  await pollAnswer(`${url}/health/live`, '{"status":"live"}');
  await writeFiles(folder, { 'routes/hello/index.ts': createRoute('Hello') });
  await pollAnswer(`${url}/hello`, 'Hello at debug');
});

test('npm run dev does not load plugins itself, which may need variables of .env', async (t) => {
  const folder = await copySources(t);
  await writeFiles(folder, {
    '.env': 'MAIL_KEY=hunter2\n',
    'plugins/mail.ts': `
      if (!process.env.MAIL_KEY) throw new Error('MAIL_KEY is not set');
      export default async () => {};
    `,
  });
  const port = String(await findFreePort());
  const { readOutput } = startDev(t, folder, { PORT: port, DATABASE_URL: DOWN });
  await poll(() => readOutput().includes('not attached'));
  await writeFiles(folder, { 'routes/hello/index.ts': createRoute('Hello') });
  await pollAnswer(`http://localhost:${port}/hello`, 'Hello at debug');
});

test('npm run dev notices installed packages, and a folder that is back', async (t) => {
  const folder = await createFolder(t);
  await cp(path.join(ROOT, 'scripts'), path.join(folder, 'scripts'), { recursive: true });
  const installed = path.join(folder, 'node_modules/.package-lock.json');
  await writeFiles(folder, { 'node_modules/.package-lock.json': '', 'jobs/seed.ts': '' });
  const code = `
    import { watchSources } from './scripts/dev/watch-sources.ts';
    const changes = watchSources(console.log);
    for (const name of ['environment', 'change']) changes.on(name, () => console.log(name));
    console.log('watching');`;
  const child = spawn(NODE, ['--input-type=module', '--eval', code], { cwd: folder });
  t.teardown(() => child.kill());
  let output = '';
  child.stdout.on('data', (data) => {
    output += data;
  });
  await poll(() => output.includes('watching'));
  // npm ci removes the packages first.
  await rm(installed);
  await writeFile(installed, '{}');
  await poll(() => output.includes('environment\nchange'));
  await rm(path.join(folder, 'jobs'), { recursive: true });
  await writeFiles(folder, { 'jobs/seed.ts': '' });
  await poll(() => /(change\n){3}$/.test(output));
  output = '';
  await writeFiles(folder, { 'jobs/seed.ts': 'changed' });
  await poll(() => output.includes('change'));
});
