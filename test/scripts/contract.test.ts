import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'tap';
import { listDemands, listNumbers } from '../contract-numbers.ts';
import { ROOT } from '../helper.ts';

const isRemoved = !existsSync(path.join(ROOT, 'docs/contract.md'));

test('Each demand of docs/contract.md has one test with its number', { skip: isRemoved }, (t) => {
  const numbers = listNumbers();
  t.strictSame(numbers, [...new Set(numbers)], 'no number is used twice');
  // An owner may have removed proofs: `npm run proof docs` checks that none is missing.
  const demands = listDemands();
  t.ok(numbers.length > 0);
  for (const number of numbers) t.ok(demands.includes(number), `${number} is a demand`);
  t.end();
});
