import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Test, test } from 'tap';
import {
  DOWN,
  type Environment,
  type LogLine,
  type ProcessOptions,
  poll,
  spawnProcess,
  startProcess,
  waitForClosedPort,
} from '../../test/helper.ts';

const options = (environment: Environment = {}): ProcessOptions => ({
  entry: 'fixture',
  environment: { DATABASE_URL: DOWN, SHUTDOWN_DELAY_MS: '0', ...environment },
});

/**
 * Starts a process and waits `ms`: after the first milliseconds, no line of the program has run.
 */
async function startFor(t: Test, ms: number, environment: Environment) {
  const web = spawnProcess(t, { ...options(environment), entry: 'web' });
  await sleep(ms);
  return web;
}

test('contract 32: A signal at any moment of the boot ends the app with 0', async (t) => {
  for (const workers of ['1', '2']) {
    for (let ms = 0; ms < 800; ms += 200) {
      for (const signals of [['SIGTERM'], ['SIGINT'], ['SIGTERM', 'SIGTERM', 'SIGTERM']] as const) {
        const web = await startFor(t, ms, { WEB_CONCURRENCY: workers });
        for (const signal of signals) web.signal(signal);
        const end = await web.exited;
        // Node itself needs some time before the program's first line runs.
        const isBefore = web.lines.length === 0 && end === signals[0];
        t.ok(end === 0 || isBefore, `${signals} after ${ms} ms with ${workers}: ${end}`);
        t.strictSame(web.noise, []);
      }
    }
  }
});

test('SIGHUP drains like SIGTERM; exit code 0', async (t) => {
  const web = await startProcess(t, options());
  web.signal('SIGHUP');
  await web.waitForLine('Draining');
  t.equal(await web.exited, 0);
});

test('SIGUSR1 opens no debugger port', async (t) => {
  const web = await startProcess(t, options());
  web.signal('SIGUSR1');
  t.equal((await fetch(web.url)).status, 200);
  const socket = connect(9229, '127.0.0.1');
  const [error] = await once(socket, 'error');
  t.match(error, { code: 'ECONNREFUSED' });
  t.notMatch(web.noise, /Debugger/);
});

test('A crash closes the port at once; requests in flight are given up soon', async (t) => {
  const limits = { SHUTDOWN_DELAY_MS: '599999', SHUTDOWN_TIMEOUT_MS: '600000' };
  const web = await startProcess(t, options(limits));
  const hung = fetch(`${web.url}/fixture/hung`).catch((error) => error);
  await web.waitForLine('hung');
  await fetch(`${web.url}/fixture/throw`, { method: 'POST' });
  await waitForClosedPort(web.url);
  t.equal(await web.exited, 1);
  t.match(web.lines.at(-1), { level: 50, requests: [{ path: '/fixture/hung' }] });
  t.match(await hung, { message: 'fetch failed' });
});

test('A crash while draining ends the app with 1', async (t) => {
  const limits = { SHUTDOWN_DELAY_MS: '599999', SHUTDOWN_TIMEOUT_MS: '600000' };
  const web = await startProcess(t, options(limits));
  web.signal('SIGTERM');
  await web.waitForLine('Draining');
  await fetch(`${web.url}/fixture/throw`, { method: 'POST' });
  t.equal(await web.exited, 1);
});

test('A worker that crashes is replaced while it still answers', async (t) => {
  const web = await startProcess(t, options({ WEB_CONCURRENCY: '2', RATE_LIMIT_MAX: '0' }));
  const countWorkers = () => web.lines.filter(({ msg }) => msg.startsWith('Server')).length;
  await poll(() => countWorkers() === 2);
  const headers = { connection: 'close' };
  const countHung = () => new Set(web.lines.filter(({ msg }) => msg === 'hung').map(readPid)).size;
  const hung: Promise<unknown>[] = [];
  await poll(() => {
    hung.push(fetch(`${web.url}/fixture/hung`, { headers }).catch((error) => error));
    return countHung() === 2;
  });
  await fetch(`${web.url}/fixture/throw`, { method: 'POST', headers });
  await web.waitForLine('another one takes its place');
  // The primary may have passed a connection to the worker just before it closed its port.
  const ask = () => fetch(web.url, { headers }).catch(() => fetch(web.url, { headers }));
  for (let count = 0; count < 10; count++) t.equal((await ask()).status, 200);
  await poll(() => countWorkers() === 3);
  t.match(await web.waitForLine('Still open'), {
    level: 50,
    requests: [{ path: '/fixture/hung' }],
  });
  web.signal('SIGKILL');
  await Promise.all(hung);
});

const readPid = ({ pid }: LogLine): unknown => pid;
