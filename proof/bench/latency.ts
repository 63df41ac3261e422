import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { APP, BARE, bareFastify, builtApp } from './contestants.ts';
import { runLoad } from './load.ts';
import type { Setting } from './measurements.ts';
import { measureRounds, pick, type Result } from './rounds.ts';
import { Server } from './server.ts';

const execute = promisify(execFile);

const PACED_LOAD = path.join(import.meta.dirname, 'paced-load.ts');

/** GET / at half of what the app can take: how long the slowest of a hundred requests takes. */
export async function measureLatency({ rounds, seconds, postgres }: Setting): Promise<Result[]> {
  const app = builtApp(postgres.url);
  const rate = Math.round((await measureMost(() => Server.start(app), seconds)) / 2);
  const measured = await measureRounds(rounds, [bareFastify(), app], async (contestant) => {
    await using server = await Server.start(contestant);
    await askSteadily(server.url, rate, 1);
    const latencies = await askSteadily(server.url, rate, seconds);
    return { p50: readPercentile(latencies, 0.5), p99: readPercentile(latencies, 0.99) };
  });
  const title = `GET / at ${rate} requests/s`;
  const common = { unit: 'ms', decimals: 2, baseline: BARE };
  return [
    { ...common, title: `${title}, median latency`, rounds: pick(measured, ({ p50 }) => p50) },
    {
      ...common,
      title: `${title}, 99th percentile`,
      rounds: pick(measured, ({ p99 }) => p99),
      goal: { contestant: APP, atMost: 1.5 },
    },
  ];
}

async function measureMost(start: () => Promise<Server>, seconds: number): Promise<number> {
  await using server = await start();
  const { requestsPerSecond } = await runLoad(server, { path: '/' }, seconds);
  return requestsPerSecond;
}

/** In a process of its own, so that what this one does is not measured. */
async function askSteadily(url: string, rate: number, seconds: number): Promise<number[]> {
  const args = [PACED_LOAD, url, `${rate}`, `${seconds}`];
  const { stdout } = await execute(process.execPath, args, { maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(stdout);
}

function readPercentile(latencies: number[], part: number): number {
  return latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length * part)]!;
}
