import assert from 'node:assert/strict';
import { measureGrowth } from '../../test/src/growth.ts';
import { findReaders } from '../../test/src/readers.ts';
import type { Tally } from '../tally.ts';

/** The maximum time for 64 KiB in milliseconds, and the maximum ratio to the time for 1 KiB. */
const MAX_MS = 1;
const MAX_GROWTH = 70;

/** The number of tries: a busy machine needs more than one. */
const TRIES = 10;

/**
 * Measures each parser of client and server bytes, as the suite does, with a bound for its time.
 */
export async function proveExpressions(tally: Tally): Promise<void> {
  for (const [name, read, prepare] of await findReaders())
    await tally.check(`Time is linear in the input and below ${MAX_MS} ms: ${name}`, async () => {
      let worst = measureGrowth(read, MAX_GROWTH, prepare);
      for (let count = 0; worst.ms > MAX_MS && count < TRIES; count++)
        worst = measureGrowth(read, MAX_GROWTH, prepare);
      const { ms, growth, part } = worst;
      const said = `${ms.toFixed(3)} ms, ${growth.toFixed(1)} times, with ${JSON.stringify(part)}`;
      assert(ms < MAX_MS && growth <= MAX_GROWTH, said);
      return said;
    });
}
