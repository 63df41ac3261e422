import { test } from 'tap';
import { OutageLog } from '../../src/job-outage.ts';
import { captureLog } from '../helper.ts';

/** A log of outages, and the levels and messages of errors that it has written. */
function createOutageLog() {
  const { logger, lines } = captureLog();
  const read = () => lines.map(({ level, err }) => [level, (err as Error | undefined)?.message]);
  return { outage: new OutageLog(logger), read };
}

const WARN = 40;
const BACK = [30, undefined];

test('The queue is back when all of its parts are, and not before', async (t) => {
  const { outage, read } = createOutageLog();
  outage.note('a');
  outage.note('a', new Error('gone'));
  outage.note('b', new Error('gone'));
  outage.note('a', new Error('gone'));
  outage.note('a');
  outage.note('a');
  t.strictSame(read(), [[WARN, 'gone']], 'one problem is told once, whatever has it');
  outage.note('b');
  t.strictSame(read(), [[WARN, 'gone'], BACK]);
});

test('The first problem of a part is told beside that of another', async (t) => {
  const { outage, read } = createOutageLog();
  for (const _pass of [1, 2, 3]) {
    outage.note('a', new Error('gone'));
    outage.note('b', new Error('not made'));
    outage.note('c');
  }
  t.strictSame(read(), [
    [WARN, 'gone'],
    [WARN, 'not made'],
  ]);
});

test("What pg-boss's own work meets is told once for each time that the queue is away", async (t) => {
  const { outage, read } = createOutageLog();
  for (const _pass of [1, 2, 3])
    for (const problem of ['late', 'denied']) outage.noteOwn(new Error(problem));
  outage.note('a');
  t.strictSame(read(), [
    [WARN, 'late'],
    [WARN, 'denied'],
  ]);
  outage.note('a', new Error('gone'));
  outage.note('a');
  outage.noteOwn(new Error('late'));
  t.strictSame(read().slice(2), [[WARN, 'gone'], BACK, [WARN, 'late']]);
});
