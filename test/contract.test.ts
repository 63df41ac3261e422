import { globSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'tap';
import { ROOT } from './helper.ts';

const read = (file: string) => readFile(path.join(ROOT, file), 'utf8');

/** The numbers in front of the titles of tests and of checks of proofs. */
async function findNumbers(): Promise<number[]> {
  const files = globSync('{test,proof}/**/*.ts', { cwd: ROOT, exclude: (name) => name.includes('node_modules') });
  const texts = await Promise.all(files.map(read));
  const numbers = texts.flatMap((text) =>
    [...text.matchAll(/['"`]contract (\d+): /g)].map(([, number]) => Number(number)),
  );
  return numbers.sort((one, other) => one - other);
}

/** Whether all that the README says how to remove is still there: what proves a number may have gone with it. */
async function isWhole(): Promise<boolean> {
  const commands = [...(await read('README.md')).matchAll(/git rm -r ([^`\n]+)/g)];
  const files = commands.flatMap(([, files = '']) => files.trim().split(' '));
  return [...files, 'proof'].every((file) => globSync(file, { cwd: ROOT }).length > 0);
}

test('Each demand of docs/contract.md has one test or proof that says its number', async (t) => {
  const demands = [...(await read('docs/contract.md')).matchAll(/^\| (\d+) \|/gm)].map(([, number]) => Number(number));
  const numbers = await findNumbers();
  t.strictSame(numbers, [...new Set(numbers)], 'no number is said twice');
  const unknown = numbers.filter((number) => !demands.includes(number));
  t.strictSame(unknown, [], 'no number is said that is no demand');
  if (await isWhole()) t.strictSame(numbers, demands);
});
