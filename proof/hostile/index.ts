// Hostile requests over raw sockets: a 4xx in the common shape or a closed connection
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { type RunningApp, startApp } from '../app.ts';
import type { Tally } from '../tally.ts';
import type { Answer } from './answer.ts';
import { Connection } from './connection.ts';
import { get, type HostileRequest, INJECTED, request, SECRET } from './request.ts';
import { requests } from './requests.ts';
import { proveShape } from './shape.ts';

/** The time-out of an answer, in milliseconds. */
const TIMEOUT_MS = 30_000;

/** The app grants a client a minute, and Node checks this twice a minute. */
const SLOW_TIMEOUT_MS = 180_000;

const IDLE_CONNECTIONS = 2_000;

/** pino's level of an error. */
const ERROR = 50;

/** Flags: --postgres runs the app on a PostgreSQL server instead of the embedded database. */
export async function prove(tally: Tally, flags: string[]): Promise<void> {
  const { postgres } = parseArgs({
    args: flags,
    options: { postgres: { type: 'boolean' } },
  }).values;
  await using app = await startApp({
    postgres: postgres === true,
    environment: { RATE_LIMIT_MAX: '0' },
  });
  const check = (row: HostileRequest) =>
    tally.check(`contract 21: ${row.name}`, () => proveRequest(app, row));
  const slow = requests.filter((row) => row.slow).map(check);
  for (const row of requests.filter((row) => !row.slow)) await check(row);
  await tally.check(`The app serves beside ${IDLE_CONNECTIONS} idle connections`, () =>
    proveIdleConnections(app),
  );
  await tally.check(
    'The app serves beside a client that requests 20,000 pages and reads nothing',
    () => proveStoppedReader(app),
  );
  await Promise.all(slow);
  await tally.check('Each log line is JSON, and none is an error', () => proveLog(app));
  await tally.check('The log contains no injected text and no secret', () => proveSecrecy(app));
  await tally.check('The app is still running and stops at SIGTERM', () => proveEnd(app));
}

/** @returns the last answer */
async function proveRequest(app: RunningApp, row: HostileRequest): Promise<string> {
  const { answers: expected = 1, bodiless = false, slow = false } = row;
  const timeoutMs = slow ? SLOW_TIMEOUT_MS : TIMEOUT_MS;
  const startedAt = performance.now();
  using connection = await Connection.open(app.port, bodiless);
  const sent = connection.send(row.bytes());
  if (row.ends) await sent.then(() => connection.end());
  assert(
    await connection.waitForAnswers(expected, timeoutMs),
    `neither answered nor closed in ${timeoutMs} ms`,
  );
  const seconds = slow ? ` after ${Math.round((performance.now() - startedAt) / 1_000)} s` : '';
  const answers = connection.answers.slice(0, expected);
  proveAnswers(answers, row);
  if (connection.isOpen && !row.ends) await connection.send(canary(bodiless));
  assert(await connection.waitForEnd(timeoutMs), `the connection is not closed in ${timeoutMs} ms`);
  proveNothingMore(connection, answers.length);
  await proveGoodRequest(app);
  return (answers.map(describe)[answers.length - 1] ?? 'closed') + seconds;
}

/** The last request on an open connection. Another answer than its own was not requested. */
function canary(bodiless: boolean): Buffer {
  const line = `${bodiless ? 'HEAD' : 'GET'} /health/live HTTP/1.1`;
  return request(line, ['X-Request-ID: canary', 'Connection: close']);
}

function proveNothingMore(connection: Connection, answers: number): void {
  const more = connection.answers.slice(answers);
  const unasked = more.filter(({ headers }) => headers.get('x-request-id') !== 'canary');
  assert(unasked.length === 0, `got an answer without a request: ${unasked.map(describe)}`);
  assert(more.length <= 1, 'the canary was answered twice');
  assert(
    connection.rest === '',
    `got bytes after the last answer: ${JSON.stringify(connection.rest)}`,
  );
}

function proveAnswers(answers: Answer[], row: HostileRequest): void {
  const { statuses, bodiless, answers: expected = 1, mayClose = statuses.length === 0 } = row;
  const came = answers.map(describe).join('; ') || 'closed';
  assert(mayClose || answers.length === expected, `expected ${expected} answers, got: ${came}`);
  for (const [position, answer] of answers.entries()) {
    assert(
      statuses.includes(answer.status),
      `expected ${statuses.join(' or ') || 'no answer'}, got: ${came}`,
    );
    for (const [name, value] of answer.headers)
      assert(!value.includes(INJECTED), `the header ${name} repeats the injected text: ${value}`);
    assert(!answer.body.includes(SECRET), `the answer repeats the secret: ${came}`);
    if (answer.status >= 400 && !bodiless) proveShape(answer);
    row.verify?.(answer, position);
  }
}

function describe({ status, body }: Answer): string {
  if (status < 400 || body === '') return `${status}`;
  return `${status} ${body.length > 160 ? `${body.slice(0, 160)}…` : body}`;
}

async function proveGoodRequest(app: RunningApp): Promise<void> {
  using connection = await Connection.open(app.port);
  await connection.send(get('/notes?limit=1', ['Connection: close']));
  await connection.waitForAnswers(1, TIMEOUT_MS);
  assert.deepEqual(
    connection.answers.map(describe),
    ['200'],
    'a good request on a new connection is not answered',
  );
}

async function proveIdleConnections(app: RunningApp): Promise<string> {
  using stack = new DisposableStack();
  const opening = Array.from({ length: IDLE_CONNECTIONS }, () => Connection.open(app.port));
  const connections = (await Promise.all(opening)).map((connection) => stack.use(connection));
  for (let count = 0; count < 100; count += 1) await proveGoodRequest(app);
  const open = connections.filter(({ isOpen }) => isOpen).length;
  return `100 good requests were answered, ${open} connections were still open then`;
}

async function proveStoppedReader(app: RunningApp): Promise<void> {
  using connection = await Connection.open(app.port);
  connection.stopReading();
  await connection.send(Buffer.concat(Array(20_000).fill(get('/', ['Accept: text/html']))));
  for (let count = 0; count < 100; count += 1) await proveGoodRequest(app);
}

function proveLog({ process }: RunningApp): string {
  const errors = process.lines.filter((line) => !(parseLine(line).level < ERROR));
  assert(
    errors.length === 0,
    `${errors.length} errors, such as:\n${errors.slice(0, 3).join('\n')}`,
  );
  return `${process.lines.length} lines`;
}

function proveSecrecy({ process }: RunningApp): void {
  const leaks = process.lines.filter(
    (line) => line.includes(SECRET) || parseLine(line).text.includes(INJECTED),
  );
  assert(
    leaks.length === 0,
    `${leaks.length} lines contain it, such as:\n${leaks.slice(0, 3).join('\n')}`,
  );
}

/** Leaves out the path, which is the client's text but belongs in the log. */
function parseLine(line: string): { level: number; text: string } {
  try {
    const { path, ...rest } = JSON.parse(line);
    return { level: rest.level, text: JSON.stringify(rest) };
  } catch {
    return { level: Number.NaN, text: line };
  }
}

async function proveEnd({ process }: RunningApp): Promise<void> {
  assert(!process.hasEnded, 'the app has ended');
  process.signal('SIGTERM');
  assert.deepEqual(await process.ended, { code: 0, signal: null });
}
