import { test } from 'tap';
import { OutageLog } from '../../src/job-outage.ts';
import { captureLog } from '../helper.ts';

/** Creates an OutageLog; `read` returns the level and error message of each line. */
function createOutageLog() {
  const { logger, lines } = captureLog();
  const outage = new OutageLog(logger);
  const fail = (part: string, problem: string) =>
    outage.watch(part, Promise.reject(new Error(problem)));
  const answer = (part: string) => outage.watch(part, Promise.resolve(1));
  const read = () => lines.map(({ level, err }) => [level, (err as Error | undefined)?.message]);
  return { outage, fail, answer, read };
}

const WARN = 40;
const BACK = [30, undefined];

test('The queue is back only when all of its parts are back', async (t) => {
  const { fail, answer, read } = createOutageLog();
  await answer('a');
  await fail('a', 'gone');
  await fail('b', 'gone');
  await fail('a', 'gone');
  await answer('a');
  await answer('a');
  t.strictSame(read(), [[WARN, 'gone']], 'one problem is logged once, for any number of parts');
  await answer('b');
  t.strictSame(read(), [[WARN, 'gone'], BACK]);
});

test('A transaction that interfered is no outage', async (t) => {
  const { outage, read } = createOutageLog();
  const error = Object.assign(new Error('could not serialize access'), { code: '40001' });
  t.equal(await outage.watch('a', Promise.reject(error)), undefined);
  t.strictSame(read(), []);
  await outage.watch('a', Promise.reject(new DOMException('gone', 'AbortError')));
  t.strictSame(read(), [[WARN, 'gone']], 'such an error has a number as its code');
});

test('Two parts with different problems are logged once each', async (t) => {
  const { fail, answer, read } = createOutageLog();
  for (const _pass of [1, 2, 3]) {
    await fail('a', 'gone');
    await fail('b', 'not made');
    await answer('c');
  }
  t.strictSame(read(), [
    [WARN, 'gone'],
    [WARN, 'not made'],
  ]);
});

test('A part that fails in two ways in turn is logged twice, and again in the next outage', async (t) => {
  const { fail, answer, read } = createOutageLog();
  const outage = [[WARN, 'late'], [WARN, 'reset'], BACK];
  for (const _outage of [1, 2]) {
    for (const _pass of [1, 2, 3])
      for (const problem of ['late', 'reset']) await fail('a', problem);
    await answer('a');
  }
  t.strictSame(read(), [...outage, ...outage]);
});

test('While one part fails for good, each outage of another part is logged', async (t) => {
  const { fail, answer, read } = createOutageLog();
  await fail('a', 'not made');
  for (const _outage of [1, 2]) {
    for (const _pass of [1, 2]) await fail('b', 'gone');
    await answer('b');
    await fail('a', 'not made');
  }
  t.strictSame(read(), [
    [WARN, 'not made'],
    [WARN, 'gone'],
    [WARN, 'gone'],
  ]);
});

test("An error of pg-boss's own work is logged once an hour", async (t) => {
  const { outage, read } = createOutageLog();
  const setTimeout = t.capture(globalThis, 'setTimeout', () => ({ unref: () => undefined }));
  for (const _pass of [1, 2, 3])
    for (const problem of ['late', 'denied']) outage.noteOwn(new Error(problem));
  setTimeout.restore();
  const logged = [
    [WARN, 'late'],
    [WARN, 'denied'],
  ];
  t.strictSame(read(), logged);
  const timers = setTimeout.args() as unknown as [() => void, number][];
  t.strictSame(
    timers.map(([, ms]) => ms),
    [3_600_000, 3_600_000],
  );
  for (const [forget] of timers) forget();
  outage.noteOwn(new Error('late'));
  t.strictSame(read(), [...logged, [WARN, 'late']]);
});
