import { setTimeout as sleep } from 'node:timers/promises';
import { APP, BARE, bareFastify, builtApp, rawHttp } from './contestants.ts';
import type { Setting } from './measurements.ts';
import { measureRounds, pick, type Result } from './rounds.ts';
import { buildWithRoutes } from './routes.ts';
import { Server } from './server.ts';

/** Boots are short and vary, so they are measured more often than loads. */
const ROUNDS_FACTOR = 3;

/** The idle time before a server's memory is read, in milliseconds. */
const REST_MS = 1_000;

/** Measures from the start of the process to the first 200, with 0, 100 and 1,000 more routes. */
export async function measureBoot({ rounds, postgres }: Setting): Promise<Result[]> {
  const results: Result[] = [];
  for (const routes of [0, 100, 1_000]) {
    const environment = { ROUTES: `${routes}` };
    const app = builtApp(postgres.url, routes > 0 ? { folder: buildWithRoutes(routes) } : {});
    const contestants = [bareFastify(environment), ...(routes > 0 ? [] : [rawHttp()]), app];
    const measured = await measureRounds(
      rounds * ROUNDS_FACTOR,
      contestants,
      async (contestant) => {
        await using server = await Server.start(contestant, 'all');
        return {
          wall: server.bootMs,
          processor: (server.usage?.processorTime ?? Number.NaN) * 1_000,
        };
      },
    );
    const title = routes > 0 ? `Boot with ${routes.toLocaleString('en')} routes` : 'Boot';
    const common = { unit: 'ms', decimals: 0, baseline: BARE };
    const goal = { contestant: APP, atMost: routes < 1_000 ? 2.4 : 1.9 };
    results.push(
      {
        ...common,
        title: `${title}, by the clock`,
        rounds: pick(measured, ({ wall }) => wall),
        goal,
      },
      {
        ...common,
        title: `${title}, processor time`,
        rounds: pick(measured, ({ processor }) => processor),
      },
    );
  }
  return results;
}

/** Measures the memory of a process that has answered once and is idle. */
export async function measureIdleMemory({ rounds, postgres }: Setting): Promise<Result[]> {
  const contestants = [bareFastify(), rawHttp(), builtApp(postgres.url)];
  const measured = await measureRounds(rounds, contestants, async (contestant) => {
    await using server = await Server.start(contestant);
    await sleep(REST_MS);
    return server.usage?.memory;
  });
  const rounds_ = pick(measured, (memory) => memory);
  const goal = { contestant: APP, atMost: 1.3 };
  return [
    { title: 'Memory idle', unit: 'MiB', decimals: 0, baseline: BARE, goal, rounds: rounds_ },
  ];
}
