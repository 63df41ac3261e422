import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import os from 'node:os';
import { type Test, test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { readConfig } from '../../src/app.ts';
import {
  DOWN,
  type Environment,
  findFreePort,
  NODE,
  startProcess,
  writeFiles,
} from '../../test/helper.ts';
import { copyBuild } from '../../test/process/copy-build.ts';
import { readFailure } from './read-failure.ts';

const DATABASE = { DATABASE_URL: DOWN };

/** Variables that platforms set. */
const PLATFORM = {
  NODE_OPTIONS: '--max-old-space-size=256',
  CI: 'true',
  NODE_ENV: 'production',
  NODE_HOME: '/app',
};

/** Prints the address of each server of the process. */
const WATCH = `data:text/javascript,
  import { Server } from 'node:net';
  const { listen } = Server.prototype;
  Server.prototype.listen = function (...options) {
    const print = () => console.log(JSON.stringify({ msg: 'watched', ...this.address() }));
    this.once('listening', print);
    return listen.apply(this, options);
  };
`;

const startWeb = (t: Test, environment: Environment) =>
  startProcess(t, { entry: 'web', environment });

/** All addresses of this machine. */
function listAddresses(): string[] {
  const addresses = Object.values(os.networkInterfaces()).flatMap((addresses = []) => addresses);
  const hosts = addresses
    .filter(({ scopeid }) => !scopeid)
    .map(({ address, family }) => (family === 'IPv6' ? `[${address}]` : address));
  return os.platform() === 'linux' ? [...hosts, '127.0.0.2'] : hosts;
}

test('contract 5: With a DATABASE_URL and nothing else, the built app', async (t) => {
  const web = await startWeb(t, { ...DATABASE, HOST: '' });

  await t.test('The log has the URL on which it listens', async (t) => {
    t.match(web.url, /^http:\/\/localhost:\d+$/);
    t.match(await web.waitForLine('Server listening'), {
      level: 30,
      msg: `Server listening at ${web.url}`,
    });
    t.match(await (await fetch(web.url)).json(), { name: manifest.name });
  });

  await t.test('contract 2: The app answers on all interfaces', async (t) => {
    for (const host of listAddresses()) {
      t.equal(
        (await fetch(`http://${host}:${new URL(web.url).port}/health/live`)).status,
        200,
        host,
      );
    }
  });

  await t.test('Stdout has only JSON, and stderr is empty', async (t) => {
    web.signal('SIGKILL');
    await web.exited;
    t.strictSame(web.noise, []);
    t.ok(web.lines.length > 0);
  });
});

test('contract 1: The app listens on PORT alone; 5000 if it is not set', async (t) => {
  const port = await findFreePort();
  const node = [NODE, '--import', WATCH];
  const web = await startProcess(t, {
    entry: 'web',
    environment: { ...DATABASE, PORT: String(port) },
    node,
  });
  t.equal(web.url, `http://127.0.0.1:${port}`);
  t.equal((await fetch(web.url)).status, 200);
  t.match(
    web.lines.filter(({ msg }) => msg === 'watched'),
    [{ address: '127.0.0.1', port }],
  );
  t.equal(web.lines.filter(({ msg }) => msg === 'watched').length, 1);
  t.equal((await readConfig({ ...DATABASE, PORT: '' })).PORT, 5000);
});

test('contract 10: The app serves with the variables of platforms', async (t) => {
  const environment = { ...DATABASE, ...PLATFORM, WEB_CONCURRENCY: '3' };
  const web = await startProcess(t, { entry: 'fixture', environment });
  t.match(
    await web.waitForLine('Starting WEB_CONCURRENCY'),
    { workers: 2 },
    'the fixture has two processors',
  );
  t.equal((await fetch(web.url)).status, 200);
  t.strictSame(web.noise, []);
});

test('contract 3: A bad environment ends the app with one line of all problems', async (t) => {
  const environment = { PORT: '80000', LOG_LEVEL: 'loud', HOST: 'mysql://root:hunter2@db/app' };
  const message = await readFailure(t, await startWeb(t, { ...DATABASE, ...environment }));
  t.match(message, /^The environment is not valid:\n/);
  for (const name of Object.keys(environment)) t.match(message, `  ${name} is `);
  t.notMatch(message, 'hunter2');
});

test('A taken port ends the app with the way to fix it', async (t) => {
  const other = createServer();
  t.teardown(() => other.close());
  await once(other.listen(0, '127.0.0.1'), 'listening');
  const { port } = other.address() as AddressInfo;
  const message = await readFailure(t, await startWeb(t, { ...DATABASE, PORT: String(port) }));
  t.match(message, `Port ${port} is taken by another process. Stop it, or set PORT to a free one`);
});

test('A privileged port ends the app with the way to fix it', async (t) => {
  const isRoot = process.getuid?.() === 0;
  const node = [...(isRoot ? ['setpriv', '--bounding-set=-net_bind_service'] : []), NODE];
  const probe = `
    const server = require('node:net').createServer().listen(9, '127.0.0.1', () => process.exit(0));
    server.on('error', () => process.exit(1));
  `;
  const { status } = spawnSync(node[0] ?? '', [...node.slice(1), '-e', probe]);
  const web = await startProcess(t, {
    entry: 'web',
    environment: { ...DATABASE, PORT: '9' },
    node,
  });
  // Some machines, such as Docker's containers, have no privileged ports.
  if (status === 0) return t.match(web.url, /:9$/);
  t.match(
    await readFailure(t, web),
    'Port 9 is privileged and this user may not bind it. Set PORT to one from 1024 on',
  );
});

test('An address of another machine ends the app with the way to fix it', async (t) => {
  const message = await readFailure(t, await startWeb(t, { ...DATABASE, HOST: '203.0.113.1' }));
  t.match(message, 'HOST is 203.0.113.1, which is not an address of this machine');
});

test('The app ignores its working directory and .env files', async (t) => {
  const folder = await copyBuild(t);
  const file = 'PORT=http\n';
  await writeFiles(folder, { '.env': file, '.env.example': file, '.env.production': file });
  const web = await startProcess(t, { entry: 'web', environment: DATABASE, folder });
  t.equal((await fetch(web.url)).status, 200);
});
