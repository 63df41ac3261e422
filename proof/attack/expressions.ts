import assert from 'node:assert/strict';
import { measureGrowth } from '../../test/src/growth.ts';
import { findReaders } from '../../test/src/readers.ts';
import type { Tally } from '../tally.ts';

/** The most that 64 KiB may take, in milliseconds, and how often the time for 1 KiB that may be. */
const MAX_MS = 1;
const MAX_GROWTH = 70;

/** How often a machine that does something else is asked. */
const TRIES = 10;

/** Measures what reads bytes of clients and servers, as the suite does, and bounds its time. */
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
