import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { APP, BARE, bareFastify, builtApp } from './contestants.ts';
import { hasWrk, runLoad } from './load.ts';
import type { Setting } from './measurements.ts';
import { measureRounds, pick, type Result } from './rounds.ts';
import { Server } from './server.ts';

const execute = promisify(execFile);

const SCRIPT = path.join(import.meta.dirname, 'paced.lua');

const CLIENT = { path: '/' };

/** So many that their waits, which wrk counts in whole milliseconds, are long beside one, and come out evenly. */
const CONNECTIONS = 200;

interface Percentiles {
  p50: number;
  p99: number;
}

/**
 * How long GET / takes, and the slowest of a hundred: at half of what each server can take, and of all at half of what
 * the app can take, which is less of the others.
 */
export async function measureLatency({ rounds, seconds, postgres }: Setting): Promise<Result[]> {
  // autocannon sends all requests of a second at once, whatever its rate.
  if (!hasWrk) throw new Error('Latency is measured with wrk: install it, as by "apt-get install wrk"');
  const app = builtApp(postgres.url);
  const rate = Math.round((await measureMost(() => Server.start(app), seconds)) / 2);
  const measured = await measureRounds(rounds, [bareFastify(), app], async (contestant) => {
    await using server = await Server.start(contestant);
    const { requestsPerSecond } = await runLoad(server, CLIENT, seconds);
    const half = await askSteadily(server.url, requestsPerSecond / 2, seconds);
    const same = await askSteadily(server.url, rate, seconds);
    return { half, same };
  });
  return [
    ...describeLatency(
      'GET / at half load of each',
      pick(measured, ({ half }) => half.p50),
      pick(measured, ({ half }) => half.p99),
    ),
    ...describeLatency(
      `GET / at ${rate} requests/s`,
      pick(measured, ({ same }) => same.p50),
      pick(measured, ({ same }) => same.p99),
    ),
  ];
}

function describeLatency(title: string, p50: Result['rounds'], p99: Result['rounds']): Result[] {
  const common = { unit: 'ms', decimals: 2, baseline: BARE };
  const goal = { contestant: APP, atMost: 1.5 };
  return [
    { ...common, title: `${title}, median latency`, rounds: p50 },
    { ...common, title: `${title}, 99th percentile`, rounds: p99, goal },
  ];
}

async function measureMost(start: () => Promise<Server>, seconds: number): Promise<number> {
  await using server = await start();
  const { requestsPerSecond } = await runLoad(server, CLIENT, seconds);
  return requestsPerSecond;
}

async function askSteadily(url: string, rate: number, seconds: number): Promise<Percentiles> {
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', SCRIPT, url];
  const env = { ...process.env, MEAN_WAIT_MS: `${Math.round((CONNECTIONS / rate) * 1_000)}` };
  const { stdout } = await execute('wrk', args, { env });
  return JSON.parse(stdout.split('\n').findLast((line) => line.startsWith('{'))!);
}
