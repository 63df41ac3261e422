import { APP, BARE, bareFastify, builtApp } from './contestants.ts';
import { runLoad, runPacedLoad } from './load.ts';
import type { Setting } from './measurements.ts';
import { measureRounds, pick, type Result } from './rounds.ts';
import { Server } from './server.ts';

const CLIENT = { path: '/' };

/**
 * How long GET / takes, and the slowest of a hundred: at half of what each server can take, and at one rate for both,
 * half of what the app can take.
 */
export async function measureLatency({ rounds, seconds, postgres }: Setting): Promise<Result[]> {
  const app = builtApp(postgres.url);
  const rate = Math.round((await measureMost(() => Server.start(app), seconds)) / 2);
  const measured = await measureRounds(rounds, [bareFastify(), app], async (contestant) => {
    await using server = await Server.start(contestant);
    const { requestsPerSecond } = await runLoad(server, CLIENT, seconds);
    const half = await runPacedLoad(server, requestsPerSecond / 2, seconds);
    const same = await runPacedLoad(server, rate, seconds);
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

async function measureMost(start: () => Promise<Server>, seconds: number): Promise<number> {
  await using server = await start();
  const { requestsPerSecond } = await runLoad(server, CLIENT, seconds);
  return requestsPerSecond;
}

function describeLatency(title: string, p50: Result['rounds'], p99: Result['rounds']): Result[] {
  const common = { unit: 'ms', decimals: 2, baseline: BARE };
  const goal = { contestant: APP, atMost: 1.5 };
  return [
    { ...common, title: `${title}, median latency`, rounds: p50 },
    { ...common, title: `${title}, 99th percentile`, rounds: p99, goal },
  ];
}
