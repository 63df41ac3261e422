import { test } from 'tap';
import { listDemands, listNumbers } from '../contract-numbers.ts';

test('Each demand of docs/contract.md has one test with its number', (t) => {
  const numbers = listNumbers();
  t.strictSame(numbers, [...new Set(numbers)], 'no number is used twice');
  // An owner may have removed proofs: `npm run proof docs` checks that none is missing.
  const demands = listDemands();
  t.ok(numbers.length > 0);
  for (const number of numbers) t.ok(demands.includes(number), `${number} is a demand`);
  t.end();
});
