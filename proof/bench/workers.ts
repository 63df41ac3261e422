import { cpus } from 'node:os';
import { APP, builtApp } from './contestants.ts';
import { runLoad } from './load.ts';
import type { Setting } from './measurements.ts';
import { measureRounds, pick, type Result } from './rounds.ts';
import { Server } from './server.ts';

const WORKERS = 2;

/**
 * Compares WEB_CONCURRENCY=2 with one process. The load needs a processor too, so the result is
 * computed from processor time: the requests that two idle processors would answer.
 */
export async function measureWorkers({ rounds, seconds, postgres }: Setting): Promise<Result[]> {
  if (cpus().length < WORKERS) return [];
  const name = `${APP}, WEB_CONCURRENCY=${WORKERS}`;
  const contestants = [builtApp(postgres.url), builtApp(postgres.url, { name, workers: WORKERS })];
  const measured = await measureRounds(rounds, contestants, async (contestant) => {
    await using server = await Server.start(contestant, 'all');
    const { processorTime } = await runLoad(server, { path: '/' }, seconds);
    return processorTime && (contestant.name === name ? WORKERS : 1) / processorTime;
  });
  const title = 'GET / by all workers, by processor time';
  const goal = { contestant: name, atLeast: 1.7 };
  return [
    {
      title,
      unit: 'requests/s',
      decimals: 0,
      baseline: APP,
      goal,
      rounds: pick(measured, (figure) => figure),
    },
  ];
}
