import {
  APP,
  BARE,
  bareFastify,
  builtApp,
  LOGGING,
  loggingFastify,
  pluginsFastify,
  rawHttp,
  templateFastify,
} from './contestants.ts';
import { type LoadResult, runLoad } from './load.ts';
import type { Setting } from './measurements.ts';
import { measureRounds, pick, type Result } from './rounds.ts';
import { Server } from './server.ts';

const CLIENT = { path: '/' };

/** Measures GET / at full speed, and the memory afterwards. */
export async function measureThroughput({ rounds, seconds, postgres }: Setting): Promise<Result[]> {
  const contestants = [
    bareFastify(),
    rawHttp(),
    loggingFastify(),
    templateFastify(),
    pluginsFastify(),
    builtApp(postgres.url),
  ];
  const measured = await measureRounds(rounds, contestants, async (contestant) => {
    await using server = await Server.start(contestant);
    return await runLoad(server, CLIENT, seconds);
  });
  return [
    ...describeRequests('GET /', measured, BARE, 0.5),
    describeProcessorTime("GET /, beside Fastify's logging", measured, LOGGING, 1.25),
    describeMemory(measured),
  ];
}

/**
 * Compares requests per second of the server's processor time, which does not depend on other
 * programs on the machine.
 */
export function describeRequests(
  title: string,
  measured: Map<string, LoadResult[]>,
  baseline: string,
  atLeast: number,
): Result[] {
  const rounds = pick(measured, ({ requestsPerSecond }) => requestsPerSecond);
  return [
    { title: `${title}, by the clock`, unit: 'requests/s', decimals: 0, baseline, rounds },
    describeProcessorTime(`${title}, by processor time`, measured, baseline, atLeast),
  ];
}

function describeProcessorTime(
  title: string,
  measured: Map<string, LoadResult[]>,
  baseline: string,
  atLeast: number,
): Result {
  const rounds = pick(measured, ({ processorTime }) => processorTime && 1 / processorTime);
  const goal = { contestant: APP, atLeast };
  return { title, unit: 'requests/s', decimals: 0, baseline, goal, rounds };
}

function describeMemory(measured: Map<string, LoadResult[]>): Result {
  const rounds = pick(measured, ({ memory }) => memory);
  const goal = { contestant: APP, atMost: 1.4 };
  return { title: 'Memory under load', unit: 'MiB', decimals: 0, baseline: BARE, goal, rounds };
}
