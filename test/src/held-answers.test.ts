import { test } from 'tap';
import { cutOffSlowest, observe } from '../../src/held-answers.ts';
import type { OpenRequest } from '../../src/open-requests.ts';
import { buildAppWithRoutes } from '../helper.ts';

const MIB = 1024 * 1024;

/** A request with `waiting` unread bytes, whose client last read `idleMs` ago. */
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

test('Only as many clients as needed are disconnected, those idle for longest first', (t) => {
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

test('While few bytes are held, a large answer does not scan all open requests', async (t) => {
  const route = "export default async (app) => app.get('/large', async () => 'a'.repeat(100_000));";
  const { app } = await buildAppWithRoutes(t, route, { RATE_LIMIT_MAX: '0' });
  const { openRequests } = app;
  const list = t.capture(openRequests, 'list', openRequests.list);
  for (let count = 0; count < 50; count += 1)
    t.equal((await app.inject('/large')).body.length, 100_000);
  t.ok(list().length < 50, 'only the deadlines list them, once a second');
});
