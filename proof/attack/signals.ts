import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { runApp } from '../app.ts';
import type { Tally } from '../tally.ts';

/** From one moment of the boot to the next, in milliseconds. */
const STEP_MS = 5;
const MOMENTS = 100;

/** So many boots at a time: more would only take turns. */
const AT_ONCE = 2;

const DELAY_MS = 200;

/** Readers see an end a little later than it is, on a machine that is busy. In milliseconds. */
const LIMIT_MS = DELAY_MS + 1_000;

const SIGNALS = [['SIGTERM'], ['SIGINT'], ['SIGTERM', 'SIGTERM', 'SIGTERM']] as const;

/** Sends signals at every moment of the boot, of one process and of workers. */
export async function proveSignals(tally: Tally): Promise<void> {
  for (const workers of ['1', '2'])
    await tally.check(`${MOMENTS} moments of the boot with WEB_CONCURRENCY=${workers}`, () =>
      sweep(workers),
    );
}

async function sweep(workers: string): Promise<string> {
  const moments = Array.from({ length: MOMENTS }, (_, index) => index);
  const endings: { code: number; ms: number }[] = [];
  let early = 0;
  const work = async () => {
    for (let moment = moments.shift(); moment !== undefined; moment = moments.shift()) {
      const ending = await interrupt(moment, workers);
      if (ending) endings.push(ending);
      else early++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const failed = endings.filter(({ code }) => code !== 0);
  assert.deepEqual(failed, [], 'Some ended with another code');
  const times = endings.map(({ ms }) => Math.round(ms)).sort((one, other) => one - other);
  const slowestMs = times.at(-1);
  // A machine that is busy with something else delays a few.
  assert.ok(times[Math.floor(times.length * 0.9)]! <= LIMIT_MS, `One took ${slowestMs} ms`);
  return `${endings.length} times exit 0, the slowest in ${slowestMs} ms; ${early} before the first line`;
}

/** @returns how it ended, or nothing where the program's first line had not run yet */
async function interrupt(moment: number, workers: string) {
  const app = runApp('web', {
    PORT: '0',
    HOST: '127.0.0.1',
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
    SHUTDOWN_DELAY_MS: `${DELAY_MS}`,
    WEB_CONCURRENCY: workers,
  });
  await sleep(moment * STEP_MS);
  for (const signal of SIGNALS[moment % SIGNALS.length]!) app.signal(signal);
  const startedAt = performance.now();
  // It ends when nobody holds its stdout any more: the workers are gone too.
  const { code } = await app.ended;
  if (code === null && app.lines.length === 0) return undefined;
  return { code: code ?? -1, ms: performance.now() - startedAt };
}
