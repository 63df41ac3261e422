import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { type Test, test } from 'tap';
import {
  DOWN,
  type Environment,
  interruptUntilEnded,
  type ProcessOptions,
  poll,
  ROOT,
  startProcess,
  waitForClosedPort,
} from '../helper.ts';

/**
 * Each way to end a process; `npm run proof contract` tests them in full. The sources start slowly:
 * they run only where no other test covers their lines.
 */
const start = (
  t: Test,
  entry: ProcessOptions['entry'],
  environment: Environment = {},
  source: ProcessOptions['source'] = 'src',
) =>
  startProcess(t, {
    entry,
    source,
    environment: { DATABASE_URL: DOWN, SHUTDOWN_DELAY_MS: '0', ...environment },
  });

/** The process drains longer than the test takes. */
const LONG = { SHUTDOWN_DELAY_MS: '599999', SHUTDOWN_TIMEOUT_MS: '600000' };

test('An answer that began before the signal is completed', async (t) => {
  const web = await start(t, 'fixture', { SHUTDOWN_DELAY_MS: '1' }, 'dist');
  const agent = new Agent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  const [response]: IncomingMessage[] = await once(
    get(`${web.url}/fixture/streamed`, { agent }),
    'response',
  );
  web.signal('SIGINT');
  t.match(await web.waitForLine('Draining'), { requests: 1 });
  await waitForClosedPort(web.url);
  web.write('end');
  t.equal(await text(response!), 'begin');
  t.equal(await web.exited, 0);
});

test('Clients that never close their side do not delay the end', async (t) => {
  const web = await start(t, 'web', { SHUTDOWN_TIMEOUT_MS: '20000' }, 'dist');
  const refused = 'GET / HTTP/1.1\r\n\r\n';
  const sent = [
    refused,
    `${refused}GET / HTTP/1.1\r\nHost: a\r\n\r\n`,
    'CONNECT a:1 HTTP/1.1\r\n\r\n',
  ];
  const port = Number(new URL(web.url).port);
  for (const bytes of sent) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    t.teardown(() => socket.destroy());
    socket
      .on('error', () => undefined)
      .resume()
      .write(bytes);
    await once(socket, 'end');
  }
  web.signal('SIGTERM');
  t.equal(await web.exited, 0);
});

test('A second SIGTERM is ignored; requests get Connection: close', async (t) => {
  const web = await start(t, 'web', LONG);
  web.signal('SIGINT');
  const { pid } = await web.waitForLine('Draining');
  t.equal(pid, web.pid, 'by default, one process serves');
  web.signal('SIGTERM');
  t.equal((await fetch(web.url)).headers.get('connection'), 'close');
  t.equal(await interruptUntilEnded(web), 130);
});

test('A request that hangs is logged at SHUTDOWN_TIMEOUT_MS; the exit code is 1', async (t) => {
  const web = await start(t, 'fixture', { SHUTDOWN_TIMEOUT_MS: '300' });
  const hung = fetch(`${web.url}/fixture/hung`).catch(() => undefined);
  await web.waitForLine('hung');
  web.signal('SIGTERM');
  t.equal(await web.exited, 1);
  t.match(web.lines.at(-1), {
    level: 50,
    requests: [{ method: 'GET', path: '/fixture/hung', ageMs: Number }],
  });
  await hung;
});

test('A crash while draining ends the process with 1', async (t) => {
  const web = await start(t, 'fixture', LONG, 'dist');
  web.signal('SIGTERM');
  await web.waitForLine('Draining');
  await fetch(`${web.url}/fixture/throw`, { method: 'POST' });
  t.equal(await web.exited, 1);
  const last = { level: 50, msg: 'Drained after an uncaught exception', exitCode: 1 };
  t.match(web.lines.at(-1), last);
});

test('A request still open after a crash is logged', async (t) => {
  const web = await start(t, 'fixture', LONG);
  const hung = fetch(`${web.url}/fixture/hung`).catch(() => undefined);
  await web.waitForLine('hung');
  web.signal('SIGTERM');
  await web.waitForLine('Draining');
  await fetch(`${web.url}/fixture/throw`, { method: 'POST' });
  t.equal(await web.exited, 1);
  t.match(web.lines.at(-1), {
    level: 50,
    msg: 'Still open 2 s after an uncaught exception: the process exits anyway',
    exitCode: 1,
    requests: [{ path: '/fixture/hung' }],
  });
  await hung;
});

test('An error while the app closes is logged; the exit code is 1', async (t) => {
  const web = await start(t, 'fixture');
  await fetch(`${web.url}/fixture/jam`, { method: 'POST' });
  web.signal('SIGTERM');
  t.equal(await web.exited, 1);
  t.match(web.lines.at(-1), { level: 60, msg: 'jammed', err: { stack: String } });
});

test('WEB_CONCURRENCY processes share the port, at most one per processor; one that crashes is replaced', async (t) => {
  const web = await start(t, 'fixture', { WEB_CONCURRENCY: '1024' });
  t.match(await web.waitForLine('Starting WEB_CONCURRENCY'), { workers: 2 });
  const listWorkers = () =>
    web.lines.filter(({ msg }) => msg.startsWith('Server listening')).map(({ pid }) => pid);
  await poll(() => listWorkers().length === 2);
  const headers = { connection: 'close' };
  t.equal((await fetch(web.url, { headers })).status, 200);
  t.notOk(listWorkers().includes(web.pid));
  await fetch(`${web.url}/fixture/throw`, { method: 'POST', headers });
  const line = await web.waitForLine('Uncaught exception');
  t.match(line, { level: 60, err: { message: 'thrown outside of any request', stack: String } });
  await poll(() => listWorkers().length === 3);
  web.signal('SIGTERM');
  t.equal(await web.exited, 0);
  t.equal(web.lines.filter(({ msg }) => msg.startsWith('Drained')).length, 3);
});

test('LOG_LEVEL holds for the process that starts the others too', async (t) => {
  const environment = { WEB_CONCURRENCY: '2', LOG_LEVEL: 'error', HOST: '203.0.113.1' };
  const { lines, exited } = await start(t, 'fixture', environment);
  t.equal(await exited, 1);
  t.ok(lines.length > 0);
  t.ok(lines.every(({ level }) => level >= 50));
});

test('A worker that crashes after it has left the cluster logs that once', async (t) => {
  const web = await start(t, 'fixture', { WEB_CONCURRENCY: '2' });
  await fetch(`${web.url}/fixture/throw-late`, {
    method: 'POST',
    headers: { connection: 'close' },
  });
  web.signal('SIGTERM');
  t.equal(await web.exited, 1);
  t.match(
    web.lines.filter(({ level }) => level === 60),
    [{ err: { message: 'thrown late' } }],
  );
});

test('release logs why it failed and ends with 1', async (t) => {
  const release = await start(t, 'release');
  const hasDatabase = existsSync(path.join(ROOT, 'plugins/database'));
  t.equal(await release.exited, hasDatabase ? 1 : 0);
  const failure = { level: 60, err: { code: 'ECONNREFUSED' } };
  t.match(release.lines.at(-1), hasDatabase ? failure : { level: 30, applied: [] });
});

test('release in a bad environment logs one line and ends with 1', async (t) => {
  const release = await start(t, 'release', { PORT: 'http' }, 'dist');
  t.equal(await release.exited, 1);
  t.match(release.lines, [{ level: 60, err: undefined, msg: /PORT is "http"/ }]);
});
