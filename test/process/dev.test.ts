import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, readdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Test, test } from 'tap';
import { createFolder, findFreePort, poll, ROOT, writeFiles } from '../helper.ts';

const SOURCES = ['src', 'plugins', 'routes', 'dev.ts', 'package.json', '.env.example'];

/** A copy of the sources, to be edited. */
async function copySources(t: Test): Promise<string> {
  const folder = await createFolder(t);
  for (const name of SOURCES) await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  return folder;
}

/** Runs the script as a terminal does: in a process group of its own, which gets its Ctrl-C. */
function startDev(t: Test, folder: string, environment: Record<string, string>) {
  const variables = { PATH: process.env.PATH, HOME: folder, npm_config_update_notifier: 'false', ...environment };
  const empty = ['-i', ...Object.entries(variables).map(([name, value]) => `${name}=${value}`)];
  const child = spawn('env', [...empty, 'npm', 'run', 'dev'], { cwd: folder, detached: true });
  const group = -(child.pid ?? 0);
  const output: string[] = [];
  child.stdout.on('data', (data) => output.push(String(data)));
  child.stderr.on('data', (data) => output.push(String(data)));
  const exited = once(child, 'close');
  t.teardown(() => isRunning(group) && process.kill(group, 'SIGKILL'));
  return { exited, group, readOutput: () => output.join('') };
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Resolves when the app answers with this, however often it refuses until then. */
const pollAnswer = (url: string, expected: string) =>
  poll(
    async () =>
      (await fetch(url).then(
        (answer) => answer.text(),
        () => '',
      )) === expected,
  );

const createRoute = (answer: string) => `
  import type { FastifyPluginAsync } from 'fastify';
  const route: FastifyPluginAsync = async (app) => void app.get('/', async () => '${answer}');
  export default route;
`;

test('npm run dev', async (t) => {
  const folder = await copySources(t);
  const port = await findFreePort();
  const url = `http://localhost:${port}`;
  await writeFile(path.join(folder, '.env'), 'PORT=1\nDATABASE_URL=pglite:.data/mine\n');
  const { exited, group, readOutput } = startDev(t, folder, { PORT: String(port) });

  await t.test('listens on the port of the environment, which wins over .env', async () => {
    await poll(() => readOutput().includes(`http://localhost:${port}\n`));
  });

  await t.test('has the database of .env, which wins over .env.example', async (t) => {
    await poll(async () => (await fetch(`${url}/health/ready`)).status === 200);
    t.strictSame(await readdir(path.join(folder, '.data')), ['mine', 'mine.lock']);
  });

  await t.test('prints logs for people', async (t) => {
    await fetch(`${url}/?token=hunter2`);
    await poll(() => / GET \/ 200/.test(readOutput()));
    t.notMatch(readOutput(), /^\{/m);
    t.notMatch(readOutput(), 'hunter2');
  });

  await t.test('serves a route file that is new', async () => {
    await writeFiles(folder, { 'routes/hello/index.ts': createRoute('Hello') });
    await pollAnswer(`${url}/hello`, 'Hello');
  });

  await t.test('serves a route file that was changed', async () => {
    await writeFiles(folder, { 'routes/hello/index.ts': createRoute('Hello again') });
    await pollAnswer(`${url}/hello`, 'Hello again');
  });

  await t.test('waits for the next change where a file is broken', async () => {
    await writeFiles(folder, { 'routes/hello/index.ts': 'export default async (app) => {' });
    await poll(() => readOutput().includes('SyntaxError'));
    await writeFiles(folder, { 'routes/hello/index.ts': createRoute('Hello at last') });
    await pollAnswer(`${url}/hello`, 'Hello at last');
  });

  await t.test('keeps its database through all that', async (t) => {
    await poll(async () => (await fetch(`${url}/health/ready`)).status === 200);
    t.equal(readOutput().split('Creating the embedded database').length, 2, 'created once');
  });

  await t.test('stops at one Ctrl-C and leaves no process', async () => {
    process.kill(group, 'SIGINT');
    await exited;
    await poll(() => !isRunning(group));
  });
});
