import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { drawChart } from './chart.ts';
import { GENERATOR } from './load.ts';
import { describePinning } from './processors.ts';
import type { Result } from './rounds.ts';

/** The folder of the figures that docs/performance.md links to. */
const FOLDER = path.join(path.dirname(path.dirname(import.meta.dirname)), 'docs');

/** The results, and the circumstances needed to compare them with others. */
export interface Report {
  date: string;
  node: string;
  machine: string;
  load: string;
  results: Result[];
}

export function createReport(
  results: Result[],
  { rounds, seconds }: { rounds: number; seconds: number },
): Report {
  const processors = os.cpus();
  const model = processors[0]?.model ?? 'unknown processor';
  const memory = Math.round(os.totalmem() / 1024 ** 3);
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.versions.node,
    machine: `${processors.length} × ${model}, ${memory} GiB, ${os.type()}`,
    load: `${GENERATOR}, ${describePinning()}, ${rounds} rounds of ${seconds} s`,
    results,
  };
}

/** Writes the report as JSON and as a chart. */
export async function writeReport(report: Report): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  await writeFile(path.join(FOLDER, 'performance.json'), `${JSON.stringify(report, null, 2)}\n`);
  await writeFile(path.join(FOLDER, 'performance.svg'), drawChart(report));
}
