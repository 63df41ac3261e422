// A million mixed requests with failures: memory, sockets, timers and listeners do not grow
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { buildApp } from '../build.ts';
import { PostgresServer } from '../postgres.ts';
import { findPort, RunningProcess } from '../processes.ts';
import { readStatus, release } from '../routing/web.ts';
import type { Tally } from '../tally.ts';
import { drawChart, type Point } from './chart.ts';
import { takeSample } from './inspector.ts';
import { Traffic } from './traffic.ts';
import { fitTrend } from './trend.ts';

const REQUESTS = 1_000_000;

/** The number of measurements. */
const SAMPLES = 100;

/** The database is disconnected after this many samples; at times its server is killed. */
const SEVER_EVERY = 5;
const KILL_EVERY = 5;

const TERMINATE =
  'select pg_terminate_backend(pid) from pg_stat_activity ' +
  'where pid <> pg_backend_pid() and datname <> $$$$';

/** After this many answers without a failure, the app has its database back. */
const ANSWERS_IN_A_ROW = 20;

/** One sample out of this many is printed. */
const PRINT_EVERY = 5;

const COLUMNS = [
  'requests',
  'heap MiB',
  ' RSS MiB',
  'external MiB',
  'sockets',
  'timers',
  'listeners',
];

/** The chart is written by a complete run only. */
const CHART = path.join(import.meta.dirname, '../../docs/images/soak.svg');

const MEBIBYTE = 1024 ** 2;

/** The maximum growth of the fitted line over the second half, relative to its mean. */
const MAX_GROWTH = 0.05;

/** Flags: --requests N (1,000,000) */
export async function prove(tally: Tally, flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: { requests: { type: 'string', default: `${REQUESTS}` } },
  });
  const requests = Number(values.requests);
  const { points, severedAt, traffic } = await soak(requests);
  if (requests >= REQUESTS) await writeChart(points, severedAt);
  await tally.check('Each answer has an expected status', () => checkAnswers(traffic));
  const settled = points.slice(points.length / 2);
  await tally.check('The heap after garbage collection does not grow', () =>
    checkMemory(settled.map(({ heap }) => heap)),
  );
  await tally.check('RSS does not grow', () => checkMemory(settled.map(({ rss }) => rss)));
  for (const name of ['sockets', 'timers', 'listeners'] as const) {
    await tally.check(`The number of ${name} does not grow`, () =>
      checkCount(settled.map((point) => point[name])),
    );
  }
}

interface Soak {
  points: Point[];
  severedAt: number[];
  traffic: Traffic;
}

async function soak(requests: number): Promise<Soak> {
  await using postgres = await PostgresServer.create();
  await release(postgres.url);
  const [port, inspectorPort] = [await findPort(), await findPort()];
  const flags = ['--expose-gc', `--inspect=127.0.0.1:${inspectorPort}`, 'dist/src/web.js'];
  const environment = {
    HOST: '127.0.0.1',
    PORT: `${port}`,
    DATABASE_URL: postgres.url,
    RATE_LIMIT_MAX: '0',
  };
  await using app = new RunningProcess(process.execPath, flags, {
    folder: buildApp(),
    environment,
    silent: true,
  });
  const url = `http://127.0.0.1:${port}`;
  await waitForNotes(app, url);
  const traffic = new Traffic(url);
  const severedAt: number[] = [];
  const points: Point[] = [];
  const addPoint = async () => {
    points.push({ ...(await takeSample(inspectorPort)), requests: traffic.sent });
    if (points.length % PRINT_EVERY === 1) printRow(points.at(-1)!);
  };
  console.log(COLUMNS.join('  '));
  await addPoint();
  for (let index = 1; index <= SAMPLES; index++) {
    const running = traffic.run(requests / SAMPLES);
    if (index % SEVER_EVERY === 0) {
      severedAt.push(traffic.sent);
      traffic.isSevered = true;
      await sever(postgres, index % (SEVER_EVERY * KILL_EVERY) === 0);
      await waitForNotes(app, url);
      traffic.isSevered = false;
    }
    await running;
    await addPoint();
  }
  await traffic.end();
  return { points, severedAt, traffic };
}

/** Ends all connections of the app to its database, or kills the server and starts it again. */
async function sever(postgres: PostgresServer, isKill: boolean): Promise<void> {
  if (!isKill) return void (await postgres.query(TERMINATE));
  await postgres.kill();
  await postgres.start();
}

/** Resolves when the app has its database back, on all connections. */
async function waitForNotes(app: RunningProcess, url: string): Promise<void> {
  for (let answered = 0; answered < ANSWERS_IN_A_ROW; ) {
    answered = (await readStatus(`${url}/notes`)) === 200 ? answered + 1 : 0;
    if (answered === 0) await sleep(100);
    if (app.hasEnded) throw new Error('The app has ended');
  }
}

async function writeChart(points: Point[], severedAt: number[]): Promise<void> {
  await mkdir(path.dirname(CHART), { recursive: true });
  await writeFile(CHART, drawChart(points, severedAt));
  console.log(`The curve is in ${path.relative(process.cwd(), CHART)}`);
}

function printRow(point: Point): void {
  const memory = [point.heap, point.rss, point.external].map((bytes) =>
    (bytes / MEBIBYTE).toFixed(1),
  );
  const columns = [point.requests, ...memory, point.sockets, point.timers, point.listeners];
  console.log(
    columns.map((column, index) => `${column}`.padStart(COLUMNS[index]!.length)).join('  '),
  );
}

function checkAnswers({ sent, unavailable, wrong }: Traffic): string {
  assert.deepEqual(Object.fromEntries(wrong), {});
  return `${sent} requests, ${unavailable} of them answered with 503 while the database was away`;
}

function checkMemory(values: number[]): string {
  const { growth, mean } = fitTrend(values);
  const [grown, kept] = [growth, mean].map((bytes) => (bytes / MEBIBYTE).toFixed(2));
  const verdict = `the line grows by ${grown} MiB over the second half; the mean is ${kept} MiB`;
  assert.ok(growth < mean * MAX_GROWTH, verdict);
  return verdict;
}

function checkCount(values: number[]): string {
  const { growth, mean } = fitTrend(values);
  const [grown, kept] = [growth, mean].map((value) => value.toFixed(1));
  const verdict = `the line grows by ${grown} over the second half; the mean is ${kept}`;
  assert.ok(growth < Math.max(mean * MAX_GROWTH, 2), verdict);
  return verdict;
}
