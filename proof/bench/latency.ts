import { APP, BARE, bareFastify, builtApp, type Contestant } from './contestants.ts';
import { type Latency, runLoad, runPacedLoad } from './load.ts';
import type { Setting } from './measurements.ts';
import { measureRounds, pick, type Result } from './rounds.ts';
import { Server } from './server.ts';

const CLIENT = { path: '/' };

/**
 * Paced load takes this many times as long as other load. All its connections open in the first
 * moment, which is about a hundredth of 4 s: the 99th percentile would be that of this moment.
 */
const PACED_FACTOR = 3;

/**
 * Measures the median and the 99th percentile of GET /: at half of each server's maximum rate, and
 * at half of the app's maximum for both.
 */
export async function measureLatency({ rounds, seconds, postgres }: Setting): Promise<Result[]> {
  const app = builtApp(postgres.url);
  const paced = PACED_FACTOR * seconds;
  const rate = Math.round((await measureMost(app, seconds)) / 2);
  const measured = await measureRounds(rounds, [bareFastify(), app], async (contestant) => {
    await using server = await Server.start(contestant);
    const { requestsPerSecond } = await runLoad(server, CLIENT, seconds);
    const half = await runPacedLoad(server, requestsPerSecond / 2, paced);
    const same = await runPacedLoad(server, rate, paced);
    return { half, same };
  });
  return [
    ...describeLatency('GET / at half load of each', measured, ({ half }) => half),
    ...describeLatency(`GET / at ${rate} requests/s`, measured, ({ same }) => same),
  ];
}

async function measureMost(contestant: Contestant, seconds: number): Promise<number> {
  await using server = await Server.start(contestant);
  const { requestsPerSecond } = await runLoad(server, CLIENT, seconds);
  return requestsPerSecond;
}

function describeLatency<Figures>(
  title: string,
  measured: Map<string, Figures[]>,
  read: (figures: Figures) => Latency,
): Result[] {
  const common = { unit: 'ms', decimals: 2, baseline: BARE };
  const p50 = pick(measured, (figures) => read(figures).p50);
  const p99 = pick(measured, (figures) => read(figures).p99);
  const goal = { contestant: APP, atMost: 2 };
  return [
    { ...common, title: `${title}, median latency`, rounds: p50 },
    { ...common, title: `${title}, 99th percentile`, rounds: p99, goal },
  ];
}
