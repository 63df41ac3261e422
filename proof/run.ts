import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Tally } from './tally.ts';
import { installTools } from './tools.ts';

/**
 * The exports of the index.ts of each proof. Its first line is a comment that describes the proof.
 * Flags are those after `--`: npm run proof NAME -- --flag
 */
interface Proof {
  prove(tally: Tally, flags: string[]): Promise<void>;
}

const FOLDER = import.meta.dirname;

const [name, ...flags] = process.argv.slice(2);

if (!name) listProofs();
else if (findProofs().includes(name)) await runProof(name);
else rejectName(name);

function listProofs(): void {
  for (const name of findProofs()) console.log(`${name.padEnd(14)}${readDescription(name)}`);
}

function findProofs(): string[] {
  return globSync('*/index.ts', { cwd: FOLDER })
    .map((file) => path.dirname(file))
    .sort();
}

function readDescription(name: string): string {
  const [line = ''] = readFileSync(path.join(FOLDER, name, 'index.ts'), 'utf8').split('\n');
  return line.replace(/^\/\/ */, '');
}

function rejectName(name: string): void {
  console.error(`There is no proof named ${name}. These are there: ${findProofs().join(', ')}.`);
  process.exitCode = 1;
}

async function runProof(name: string): Promise<void> {
  installTools(FOLDER);
  const { prove }: Proof = await import(`./${name}/index.ts`);
  const tally = new Tally();
  await tally.check(`${name} runs to its end`, () => prove(tally, flags));
  tally.close();
}
