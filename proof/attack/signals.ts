import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { runApp } from '../app.ts';
import type { Tally } from '../tally.ts';

/** The time between two moments of the boot, in milliseconds. */
const STEP_MS = 5;
const MOMENTS = 100;

/** The number of concurrent boots. More would only wait for a processor. */
const AT_ONCE = 2;

/** SHUTDOWN_DELAY_MS: the minimum time to stop after the port is bound, in milliseconds. */
const DELAY_MS = 200;

/** The time after which a stop counts as hanging, in milliseconds. */
const HANG_MS = 60_000;

const SIGNALS = [['SIGTERM'], ['SIGINT'], ['SIGTERM', 'SIGTERM', 'SIGTERM']] as const;

/** Sends signals at each moment of the boot, to one process and to workers. */
export async function proveSignals(tally: Tally): Promise<void> {
  for (const workers of ['1', '2'])
    await tally.check(
      `A signal at ${MOMENTS} moments of the boot ends it, WEB_CONCURRENCY=${workers}`,
      () => sweep(workers),
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
  assert.deepEqual(failed, [], 'Some boots ended with another code');
  const times = endings.map(({ ms }) => Math.round(ms)).sort((one, other) => one - other);
  const [half, most, all] = [0.5, 0.9, 1].map((part) => times[Math.ceil(times.length * part) - 1]);
  const figures = `half of them within ${half} ms, 90 % within ${most} ms, all within ${all} ms`;
  return `${endings.length} times exit 0, ${figures}; ${early} before the first line`;
}

/** @returns the exit, or undefined if the program's first line had not run yet */
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
  // `ended` waits until stdout is closed, so the workers have ended too.
  const timer = setTimeout(() => app.signal('SIGKILL'), HANG_MS);
  const { code, signal } = await app.ended;
  clearTimeout(timer);
  assert.notEqual(signal, 'SIGKILL', `After ${moment * STEP_MS} ms: no end within ${HANG_MS} ms`);
  if (code === null && app.lines.length === 0) return undefined;
  return { code: code ?? -1, ms: performance.now() - startedAt };
}
