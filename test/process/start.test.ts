import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import os from 'node:os';
import { type Test, test } from 'tap';
import { DOWN, type Environment, findFreePort, startProcess, type TestProcess, writeFiles } from '../helper.ts';
import { copyBuild } from './copy-build.ts';

const DATABASE = { DATABASE_URL: DOWN };

const startWeb = (t: Test, environment: Environment) => startProcess(t, { entry: 'web', environment });

/** Says that the process ended with exit code 1 and one line about it, and gives its message. */
async function readFailure(t: Test, failed: TestProcess): Promise<string> {
  t.equal(await failed.exited, 1);
  t.strictSame(failed.noise, []);
  const problems = failed.lines.filter(({ level }) => level > 30);
  t.match(problems, [{ level: 60, err: undefined, msg: String }]);
  t.equal(problems.length, 1);
  t.equal(failed.lines.at(-1), problems[0]);
  return String(problems[0]?.msg);
}

test('The built app serves with its own variables and nothing else in its environment', async (t) => {
  const web = await startWeb(t, DATABASE);
  const answer = await fetch(web.url);
  t.equal(answer.status, 200);
  t.match(await answer.json(), { name: 'poort' });
  t.match(await web.waitForLine('Server listening'), { level: 30, msg: `Server listening at ${web.url}` });
  web.signal('SIGTERM');
  t.equal(await web.exited, 0);
  t.strictSame(web.noise, [], 'every line of stdout is an object, and stderr is empty');
});

test('It serves with what platforms put into its environment', async (t) => {
  const platform = { NODE_OPTIONS: '--max-old-space-size=256', CI: 'true', NODE_ENV: 'production', NODE_HOME: '/app' };
  const web = await startWeb(t, { ...DATABASE, ...platform });
  t.equal((await fetch(`${web.url}/health/live`)).status, 200);
  t.strictSame(web.noise, []);
});

test('It listens on the port it is given', async (t) => {
  const port = await findFreePort();
  const web = await startWeb(t, { ...DATABASE, PORT: String(port) });
  t.equal(web.url, `http://127.0.0.1:${port}`);
});

test('It listens on all interfaces where HOST is not set', async (t) => {
  const web = await startWeb(t, { ...DATABASE, HOST: '' });
  t.match(web.url, /^http:\/\/localhost:\d+$/, 'the URL in the log is one to click');
  const { port } = new URL(web.url);
  const local = Object.values(os.networkInterfaces()).flatMap((addresses = []) => addresses);
  const hosts = local
    .filter(({ scopeid }) => !scopeid)
    .map(({ address, family }) => (family === 'IPv6' ? `[${address}]` : address));
  if (os.platform() === 'linux') hosts.push('127.0.0.2');
  for (const host of hosts) t.equal((await fetch(`http://${host}:${port}/health/live`)).status, 200, host);
});

test('It starts while the database is down, and readiness says so', async (t) => {
  const web = await startWeb(t, DATABASE);
  const ready = await fetch(`${web.url}/health/ready`);
  t.equal(ready.status, 503);
  t.match(await ready.json(), { status: 'unavailable', services: { database: { status: 'down' } } });
  t.equal((await fetch(`${web.url}/health/live`)).status, 200);
  t.notMatch(JSON.stringify(web.lines), 'hunter2');
});

test('A bad environment ends it before it listens, all problems in one line', async (t) => {
  const environment = { PORT: '80000', LOG_LEVEL: 'loud', DATABASE_URL: 'mysql://root:hunter2@db/app' };
  for (const entry of ['web', 'release'] as const) {
    const message = await readFailure(t, await startProcess(t, { entry, environment }));
    t.match(message, /^The environment is not valid:\n/);
    for (const name of Object.keys(environment)) t.match(message, `  ${name} is `);
    t.notMatch(message, 'hunter2');
  }
});

test('A taken port ends it with what to do', async (t) => {
  const other = createServer();
  t.teardown(() => other.close());
  await once(other.listen(0, '127.0.0.1'), 'listening');
  const { port } = other.address() as AddressInfo;
  const message = await readFailure(t, await startWeb(t, { ...DATABASE, PORT: String(port) }));
  t.match(message, `Port ${port} is taken by another process. Stop it, or set PORT to a free one`);
});

test('A privileged port ends it with what to do', async (t) => {
  const node =
    process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-net_bind_service', process.execPath] : [process.execPath];
  const probe =
    "require('node:net').createServer().listen(9, '127.0.0.1', () => process.exit()).on('error', () => process.exit(1))";
  const { status } = spawnSync(node[0] ?? '', [...node.slice(1), '-e', probe]);
  const web = await startProcess(t, { entry: 'web', environment: { ...DATABASE, PORT: '9' }, node });
  // Some machines, such as Docker's containers, know no privileged ports.
  if (status === 0) return t.match(web.url, /:9$/);
  t.match(
    await readFailure(t, web),
    'Port 9 is privileged and this user may not bind it. Set PORT to one from 1024 on',
  );
});

test('An address of another machine ends it with what to do', async (t) => {
  const message = await readFailure(t, await startWeb(t, { ...DATABASE, HOST: '203.0.113.1' }));
  t.match(message, 'HOST is 203.0.113.1, which is no address of this machine');
});

test('A .env file is not read', async (t) => {
  const folder = await copyBuild(t);
  const file = `DATABASE_URL=${DOWN}\nPORT=1\n`;
  await writeFiles(folder, { '.env': file, '.env.example': file, '.env.production': file });
  const message = await readFailure(t, await startProcess(t, { entry: 'web', environment: {}, folder }));
  t.match(message, /DATABASE_URL is missing/);
});

test('A pglite: URL where PGlite is not installed ends it with what to do', async (t) => {
  const folder = await copyBuild(t, ['@electric-sql']);
  for (const entry of ['web', 'release'] as const) {
    const environment = { DATABASE_URL: 'pglite:memory' };
    const message = await readFailure(t, await startProcess(t, { entry, environment, folder }));
    t.match(message, /embedded database.* is not installed here\. Set DATABASE_URL to a postgres:\/\/ URL/);
  }
});
