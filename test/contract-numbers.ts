import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.dirname(import.meta.dirname);

/** Lists the numbers of the demands in docs/contract.md. */
export function listDemands(): number[] {
  return [...read('docs/contract.md').matchAll(/^\| (\d+) \|/gm)].map(([, number]) =>
    Number(number),
  );
}

/** Lists the contract numbers in the titles of tests and proofs, sorted. */
export function listNumbers(): number[] {
  const files = globSync('{test,proof}/**/*.ts', {
    cwd: ROOT,
    exclude: (name) => name.includes('node_modules'),
  });
  const titles = files.flatMap((file) => [...read(file).matchAll(/['"`]contract (\d+): /g)]);
  return titles.map(([, number]) => Number(number)).sort((one, other) => one - other);
}

function read(file: string): string {
  return readFileSync(path.join(ROOT, file), 'utf8');
}
