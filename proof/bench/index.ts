// The template compared with bare Fastify: throughput, latency, boot, memory, install size
import { parseArgs } from 'node:util';
import { PostgresServer } from '../postgres.ts';
import { release } from '../routing/web.ts';
import type { Tally } from '../tally.ts';
import { MEASUREMENTS, type Setting } from './measurements.ts';
import { pinLoad } from './processors.ts';
import { createReport, writeReport } from './report.ts';
import type { Result } from './rounds.ts';
import { formatTable } from './table.ts';

/**
 * Prints one table and which goals hold; no figure makes it fail. A complete run without failures
 * is also written to docs/. Flags: --only NAME[,NAME], --rounds N (5), --seconds N (4)
 */
export async function prove(tally: Tally, flags: string[]): Promise<void> {
  const { names, rounds, seconds } = readFlags(flags);
  pinLoad();
  await using postgres = await PostgresServer.create();
  await release(postgres.url);
  const measured = await measureAll(tally, names, { rounds, seconds, postgres });
  const results = measured.flat();
  const report = createReport(results, { rounds, seconds });
  console.log(`\n${report.date}, Node ${report.node}, ${report.machine}`);
  console.log(`${report.load}\n\n${formatTable(results)}\n`);
  if (measured.length === Object.keys(MEASUREMENTS).length) await writeReport(report);
}

function readFlags(flags: string[]): { names: string[]; rounds: number; seconds: number } {
  const options = {
    only: { type: 'string', default: Object.keys(MEASUREMENTS).join() },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
  } as const;
  const { values } = parseArgs({ args: flags, options });
  const names = values.only.split(',');
  const unknown = names.filter((name) => !MEASUREMENTS[name]);
  if (unknown.length > 0)
    throw new Error(
      `--only knows ${Object.keys(MEASUREMENTS).join(', ')}, not ${unknown.join(', ')}`,
    );
  return { names, rounds: Number(values.rounds), seconds: Number(values.seconds) };
}

/** @returns the results of the measurements that did not fail */
async function measureAll(tally: Tally, names: string[], setting: Setting): Promise<Result[][]> {
  const results: Result[][] = [];
  for (const name of names) {
    await tally.check(
      `${name} can be measured`,
      async () => void results.push(await MEASUREMENTS[name]!(setting)),
    );
  }
  return results;
}
