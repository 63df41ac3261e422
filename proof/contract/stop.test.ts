import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { type Test, test } from 'tap';
import {
  DOWN,
  type Environment,
  interruptUntilEnded,
  startProcess,
  type TestProcess,
  waitForClosedPort,
} from '../../test/helper.ts';

const startFixture = (t: Test, environment: Environment = {}) =>
  startProcess(t, {
    entry: 'fixture',
    environment: { DATABASE_URL: DOWN, SHUTDOWN_DELAY_MS: '0', ...environment },
  });

/** Requests an answer that the test triggers; resolves when the request is being handled. */
async function hold(web: TestProcess): Promise<{ answer: Promise<Response> }> {
  const answer = fetch(`${web.url}/fixture/held`);
  answer.catch(() => undefined);
  await web.waitForLine('held');
  return { answer };
}

/** Sends a GET on a keep-alive connection. */
async function getKept(url: string, agent: Agent): Promise<IncomingMessage> {
  const [response] = await once(get(url, { agent }), 'response');
  return response;
}

test('contract 11: While draining, requests are served and readiness is 503', async (t) => {
  const web = await startFixture(t, { SHUTDOWN_DELAY_MS: '599999', SHUTDOWN_TIMEOUT_MS: '600000' });
  t.not((await fetch(web.url)).headers.get('connection'), 'close');
  web.signal('SIGINT');
  await web.waitForLine('Draining');
  const ready = await fetch(`${web.url}/health/ready`);
  t.equal(ready.status, 503);
  t.match(await ready.json(), { status: 'draining' });
  for (const [path, status] of Object.entries({ '/': 200, '/health/live': 200, '/nowhere': 404 })) {
    const answer = await fetch(`${web.url}${path}`);
    t.equal(answer.status, status, path);
    t.equal(answer.headers.get('connection'), 'close', path);
  }

  await t.test('A second SIGINT ends the app at once with 130', async (t) => {
    t.equal(await interruptUntilEnded(web), 130);
  });
});

test('contract 12: SIGTERM lets a request in flight be answered; exit code 0', async (t) => {
  const web = await startFixture(t, { SHUTDOWN_DELAY_MS: '500' });
  const { answer } = await hold(web);
  for (let count = 0; count < 3; count++) {
    web.signal('SIGTERM');
    t.match(await web.waitForLine('Draining'), { level: 30, requests: 1 });
    await fetch(`${web.url}/health/live`).catch(() => undefined);
  }
  web.write('answer');
  const response = await answer;
  t.equal(response.status, 200);
  t.equal(response.headers.get('connection'), 'close');
  t.strictSame(await response.json(), { held: true });
  t.equal(await web.exited, 0);
  t.equal(web.lines.filter(({ msg }) => msg.startsWith('Draining')).length, 1);
  t.match(web.lines.at(-1), { level: 30, msg: 'Drained', durationMs: Number });
  t.strictSame(web.noise, []);
});

test('After SHUTDOWN_DELAY_MS, only answers that began are completed', async (t) => {
  const web = await startFixture(t);
  const agent = new Agent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  const response = await getKept(`${web.url}/fixture/streamed`, agent);
  t.equal(response.headers.connection, 'keep-alive');
  web.signal('SIGTERM');
  await waitForClosedPort(web.url);
  web.write('end');
  t.equal(await text(response), 'begin');
  t.equal(await web.exited, 0, 'the client keeps its idle connection');
});

test('Connections without a complete request do not delay the end', async (t) => {
  const web = await startFixture(t);
  const agent = new Agent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  const response = await getKept(web.url, agent);
  t.equal(response.headers.connection, 'keep-alive');
  await text(response);
  const { hostname, port } = new URL(web.url);
  const socket = connect(Number(port), hostname);
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  socket.write('GET / HTTP/1.1\r\nHost: ');
  // Connections are accepted in order: after this answer, the other one was accepted too.
  await fetch(web.url);
  web.signal('SIGINT');
  t.equal(await web.exited, 0);
});

test('contract 13: A request that hangs is logged at SHUTDOWN_TIMEOUT_MS', async (t) => {
  const web = await startFixture(t, { SHUTDOWN_TIMEOUT_MS: '300' });
  const { answer } = await hold(web);
  const hung = fetch(`${web.url}/fixture/hung?token=hunter2`).catch((error) => error);
  await web.waitForLine('hung');
  web.write('answer');
  t.equal((await answer).status, 200);
  await web.waitForLine('request');
  web.signal('SIGTERM');
  t.equal(await web.exited, 1);
  t.match(web.lines.at(-1), {
    level: 50,
    msg: /Still open at SHUTDOWN_TIMEOUT_MS/,
    // The earlier request, which was answered, is not listed.
    requests: { length: 1, 0: { method: 'GET', path: /^\/fixture\/hung$/, ageMs: Number } },
  });
  t.notMatch(JSON.stringify(web.lines), 'hunter2');
  t.match(await hung, { message: 'fetch failed' });
});

test('contract 22: A crash is logged after requests in flight; exit code 1', async (t) => {
  const crashes = { throw: 'thrown outside of any request', reject: 'rejected and not handled' };
  for (const [path, message] of Object.entries(crashes)) {
    // The long delay is for routers. A crashed process must not wait for it.
    const web = await startFixture(t, {
      SHUTDOWN_DELAY_MS: '599999',
      SHUTDOWN_TIMEOUT_MS: '600000',
    });
    const { answer } = await hold(web);
    await fetch(`${web.url}/fixture/${path}`, { method: 'POST' });
    const line = await web.waitForLine('Uncaught exception');
    t.match(line, { level: 60, err: { type: 'Error', message, stack: /fixture\/index\.ts:\d+/ } });
    web.write('answer');
    t.equal((await answer).status, 200);
    t.equal(await web.exited, 1);
    t.strictSame(web.noise, []);
  }
});
