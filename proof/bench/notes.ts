import type { PostgresServer } from '../postgres.ts';
import { builtApp, notesFastify } from './contestants.ts';
import { type LoadResult, runLoad } from './load.ts';
import type { Setting } from './measurements.ts';
import { measureRounds, type Result } from './rounds.ts';
import { Server } from './server.ts';
import { describeRequests } from './throughput.ts';

const NOTES = 1_000;

const ID = '01980a5e-7c1a-7b3e-9f00-5d1c2a3b4c5d';

const LOADS = {
  'GET /notes/:id': { path: `/notes/${ID}`, atLeast: 0.75 },
  'GET /notes': { path: '/notes', atLeast: 0.9 },
  'POST /notes': {
    path: '/notes',
    atLeast: 0.75,
    body: JSON.stringify({ title: 'Groceries', body: 'Bread, milk' }),
  },
};

type Measured = Record<keyof typeof LOADS, LoadResult>;

/** Compares the notes with the same statements by pg alone, on one PostgreSQL, with equal pools. */
export async function measureNotes({ rounds, seconds, postgres }: Setting): Promise<Result[]> {
  const bare = notesFastify(postgres.url);
  const measured = await measureRounds(
    rounds,
    [bare, builtApp(postgres.url)],
    async (contestant) => {
      await fillTable(postgres);
      await using server = await Server.start(contestant);
      const results: Partial<Measured> = {};
      for (const [title, load] of Object.entries(LOADS)) {
        results[title as keyof Measured] = await runLoad(server, load, seconds);
      }
      return results as Measured;
    },
  );
  return Object.entries(LOADS).flatMap(([title, { atLeast }]) => {
    const rounds = [...measured].map(([name, results]) => [
      name,
      results.map((result) => result[title as keyof Measured]),
    ]);
    return describeRequests(title, new Map(rounds as [string, LoadResult[]][]), bare.name, atLeast);
  });
}

/** Fills the table equally for each contestant. */
async function fillTable(postgres: PostgresServer): Promise<void> {
  const insert = `insert into notes select id, 'Groceries', 'Bread, milk', now(), now()`;
  await postgres.query('truncate notes');
  await postgres.query(`${insert} from (select '${ID}'::uuid as id) as one`);
  await postgres.query(
    `${insert} from (select gen_random_uuid() as id from generate_series(2, ${NOTES})) as others`,
  );
}
