// Answers after SIGTERM: slow, streamed and uploading requests, idle connections, a hung handler
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PostgresServer } from '../postgres.ts';
import { findPort, type RunningProcess } from '../processes.ts';
import { release, startProgram } from '../routing/web.ts';
import type { Tally } from '../tally.ts';
import { connect, get, getOver, open, readAnswer, waitUntilRefused } from './client.ts';
import { proveReuse } from './reuse.ts';

const ROOT = path.dirname(path.dirname(import.meta.dirname));

/** The duration of a response that is in flight at the signal, in milliseconds. */
const SLOW_MS = 3_000;

const IDLE_CONNECTIONS = 1_000;

/** More than the number of listeners that Node reports as a leak. */
const STAGGERED = 15;

/** The maximum time from the last response to the exit, in milliseconds. */
const EXIT_MS = 1_000;

/** The number of tries with a time limit: a busy machine is no failure. */
const ROUNDS = 5;

/**
 * Connections stay open this long at least after the listener closed, in milliseconds. IDLE_MS of
 * src/listener.ts is 500.
 */
const SURELY_LINGERS_MS = 400;

/** A process of the app with the routes of this proof. */
interface Fixture extends AsyncDisposable {
  url: string;
  port: number;
  process: RunningProcess;
}

export type StartFixture = (environment?: Record<string, string>) => Promise<Fixture>;

export async function prove(tally: Tally): Promise<void> {
  await using postgres = await PostgresServer.create();
  await release(postgres.url);
  const start: StartFixture = (environment) => startFixture(postgres, environment);
  // These wait for a minute and a half, so they run beside the others.
  const reuse = proveReuse(tally, start);
  await tally.check('SIGTERM makes readiness answer 503 at once, while requests are served', () =>
    proveDelay(start),
  );
  await tally.check('SIGTERM during a response of 3 s lets it complete', () =>
    proveSlow(start, [0]),
  );
  await tally.check('Three SIGTERMs during a response of 3 s let it complete', () =>
    proveSlow(start, [0, 300, 600]),
  );
  await tally.check(`SIGTERM during ${STAGGERED} responses lets each complete`, () =>
    proveStaggered(start),
  );
  await tally.check('SIGTERM during a streamed response lets it complete', () =>
    proveStream(start),
  );
  await tally.check('SIGTERM during a slow upload lets it complete', () => proveUpload(start));
  await tally.check('Requests in flight as the listener closes are answered', () =>
    proveLateRequests(start),
  );
  await tally.check(
    `SIGTERM with ${IDLE_CONNECTIONS} idle connections ends the app soon after the last response`,
    () => proveIdleConnections(start),
  );
  await tally.check('SIGTERM with a handler that hangs ends the app at its time-out', () =>
    proveHungHandler(start),
  );
  await reuse;
}

async function startFixture(
  { url }: PostgresServer,
  environment: Record<string, string> = {},
): Promise<Fixture> {
  const port = await findPort();
  const settings = { HOST: '127.0.0.1', PORT: `${port}`, DATABASE_URL: url, RATE_LIMIT_MAX: '0' };
  const process = await startProgram({
    args: [path.join(import.meta.dirname, 'web.ts')],
    folder: ROOT,
    environment: { ...settings, SHUTDOWN_DELAY_MS: '500', ...environment },
  });
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    process,
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}

async function proveDelay(start: StartFixture): Promise<void> {
  await using fixture = await start({ SHUTDOWN_DELAY_MS: '5000' });
  fixture.process.signal('SIGTERM');
  await fixture.process.waitForLine('Draining');
  const readiness = await get(`${fixture.url}/health/ready`);
  assert.equal(readiness.status, 503);
  assert.equal(JSON.parse(readiness.body).status, 'draining');
  const served = await get(`${fixture.url}/notes`);
  assert.equal(served.status, 200);
  assert.equal(served.headers.connection, 'close');
  assert.deepEqual(await fixture.process.ended, { code: 0, signal: null });
}

async function proveSlow(start: StartFixture, signalsAtMs: number[]): Promise<string> {
  await using fixture = await start();
  const answer = readAnswer(await openAndWait(fixture, `/slow?ms=${SLOW_MS}`));
  for (const atMs of signalsAtMs) setTimeout(() => fixture.process.signal('SIGTERM'), atMs);
  const { status, headers, body } = await answer;
  const answeredAt = performance.now();
  assert.equal(status, 200);
  assert.equal(body, `{"ms":${SLOW_MS}}`);
  assert.equal(headers.connection, 'close');
  assert.deepEqual(await fixture.process.ended, { code: 0, signal: null });
  return `complete answer, exit 0 another ${Math.round(performance.now() - answeredAt)} ms later`;
}

/** Each output line is a log line: there is no warning of Node. */
async function proveStaggered(start: StartFixture): Promise<void> {
  await using fixture = await start({ SHUTDOWN_DELAY_MS: '0' });
  const requests = Array.from({ length: STAGGERED }, (_, index) =>
    openAndWait(fixture, `/slow?ms=${2_000 + index * 100}`),
  );
  const answers = (await Promise.all(requests)).map(readAnswer);
  fixture.process.signal('SIGTERM');
  for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
  assert.deepEqual(await fixture.process.ended, { code: 0, signal: null });
  for (const line of fixture.process.lines) assert.doesNotThrow(() => JSON.parse(line), line);
}

async function proveStream(start: StartFixture): Promise<string> {
  await using fixture = await start();
  const agent = new http.Agent({ keepAlive: true });
  const request = open(`${fixture.url}/stream?lines=30`, { agent }).end();
  const answer = readAnswer(request);
  await once(request, 'response');
  fixture.process.signal('SIGTERM');
  const { body } = await answer;
  const answeredAt = performance.now();
  assert.deepEqual(
    body.trim().split('\n'),
    Array.from({ length: 30 }, (_, line) => `${line}`),
  );
  assert.deepEqual(await fixture.process.ended, { code: 0, signal: null });
  const ms = Math.round(performance.now() - answeredAt);
  return `all lines received, exit 0 another ${ms} ms later`;
}

async function proveUpload(start: StartFixture): Promise<void> {
  await using fixture = await start();
  const body = JSON.stringify('x'.repeat(30_000));
  const headers = { 'content-type': 'application/json', 'content-length': body.length };
  const request = open(`${fixture.url}/upload`, { method: 'POST', headers });
  const answer = readAnswer(request);
  request.write(body.slice(0, 1_000));
  // When a later request is answered, the head has arrived.
  await get(`${fixture.url}/connection`);
  fixture.process.signal('SIGTERM');
  for (let sent = 1_000; sent < body.length; sent += 1_000) {
    await sleep(100);
    request.write(body.slice(sent, sent + 1_000));
  }
  request.end();
  const { status, body: answered } = await answer;
  assert.equal(status, 200);
  assert.equal(answered, `{"length":${body.length}}`);
  assert.deepEqual(await fixture.process.ended, { code: 0, signal: null });
}

/** Uses a fresh and an idle connection right after the listener closed, as a router may. */
async function proveLateRequests(start: StartFixture): Promise<string> {
  for (let round = 1; round <= ROUNDS; round++) {
    await using fixture = await start({ SHUTDOWN_DELAY_MS: '200' });
    const slow = readAnswer(await openAndWait(fixture, `/slow?ms=${SLOW_MS}`));
    const connections = [await connect(fixture.port), await connect(fixture.port)];
    await getOver(connections[0]!, '/connection');
    fixture.process.signal('SIGTERM');
    const listenedAt = await waitUntilRefused(fixture.port);
    const answers = await Promise.allSettled(
      connections.map((connection) => getOver(connection, '/connection')),
    );
    const inTime = performance.now() - listenedAt < SURELY_LINGERS_MS;
    assert.equal((await slow).status, 200);
    assert.deepEqual(await fixture.process.ended, { code: 0, signal: null });
    if (!inTime) continue;
    for (const answer of answers) {
      assert.match(
        answer.status === 'fulfilled' ? answer.value : `${answer.reason}`,
        /^HTTP\/1.1 200 .*connection: close/is,
      );
    }
    return 'answered on a new connection and on an idle one';
  }
  throw new Error(`${ROUNDS} times, the requests were sent too late: this machine is too busy`);
}

async function proveIdleConnections(start: StartFixture): Promise<string> {
  const exitsMs: number[] = [];
  for (let round = 1; round <= ROUNDS && Math.min(...exitsMs) > EXIT_MS; round++) {
    exitsMs.push(await measureExit(start));
  }
  assert.ok(
    Math.min(...exitsMs) <= EXIT_MS,
    `Exited only ${exitsMs.join(', ')} ms after the last response`,
  );
  return `exit 0 ${exitsMs.at(-1)} ms after the last response`;
}

async function measureExit(start: StartFixture): Promise<number> {
  await using fixture = await start();
  const agent = new http.Agent({ keepAlive: true, maxSockets: IDLE_CONNECTIONS });
  const idle = Array.from({ length: IDLE_CONNECTIONS }, () =>
    get(`${fixture.url}/health/live`, { agent }),
  );
  for (const { status } of await Promise.all(idle)) assert.equal(status, 200);
  const slow = readAnswer(await openAndWait(fixture, `/slow?ms=${SLOW_MS}`));
  fixture.process.signal('SIGTERM');
  assert.equal((await slow).status, 200);
  const answeredAt = performance.now();
  assert.deepEqual(await fixture.process.ended, { code: 0, signal: null });
  return Math.round(performance.now() - answeredAt);
}

async function proveHungHandler(start: StartFixture): Promise<string> {
  await using fixture = await start({ REQUEST_TIMEOUT_MS: '600000', SHUTDOWN_TIMEOUT_MS: '2000' });
  const answer = readAnswer(await openAndWait(fixture, '/hang?secret=1')).catch((error) => error);
  fixture.process.signal('SIGTERM');
  assert.deepEqual(await fixture.process.ended, { code: 1, signal: null });
  assert.ok((await answer) instanceof Error);
  const { level, requests } = JSON.parse(fixture.process.lines.at(-1)!);
  assert.equal(level, 50);
  assert.equal(requests.length, 1);
  const { method, path, ageMs } = requests[0];
  assert.deepEqual({ method, path }, { method: 'GET', path: '/hang' });
  assert.ok(ageMs >= 1_500, `The request was open for ${ageMs} ms`);
  return `exit 1 and a log line: ${JSON.stringify(requests)}`;
}

/** Resolves when the app has the request: connections are served in order. */
async function openAndWait({ url }: Fixture, target: string): Promise<http.ClientRequest> {
  const request = open(`${url}${target}`).end();
  await once(request, 'finish');
  await get(`${url}/connection`);
  return request;
}
