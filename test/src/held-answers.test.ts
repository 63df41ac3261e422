import { test } from 'tap';
import { cutOffSlowest, observe } from '../../src/held-answers.ts';
import type { OpenRequest } from '../../src/open-requests.ts';

const MIB = 1024 * 1024;

/** A request for which so much waits, whose client read something so long ago. */
function createEntry(waiting: number, idleMs: number) {
  const socket = {
    bytesWritten: waiting,
    writableLength: waiting,
    destroyed: false,
    destroy: () => {
      socket.destroyed = true;
    },
  };
  const progressAt = performance.now() - idleMs;
  const entry = { request: { socket }, waiting, size: 0, sent: 0, sentBefore: 0, progressAt };
  return entry as unknown as OpenRequest;
}

test('No more readers are cut off than has to be, those first that read nothing for longest', (t) => {
  const entries = [createEntry(20 * MIB, 10), createEntry(20 * MIB, 30), createEntry(20 * MIB, 20)];
  cutOffSlowest(entries);
  t.strictSame(
    entries.map(({ request }) => request.socket.destroyed),
    [false, true, false],
  );
  entries.forEach(observe);
  t.strictSame(
    entries.map(({ waiting }) => waiting),
    [20 * MIB, 0, 20 * MIB],
  );
  t.end();
});
