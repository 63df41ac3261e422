import cluster from 'node:cluster';
import { mock } from 'node:test';
import { type Test, test } from 'tap';
import { watchBeats } from '../../src/heartbeat.ts';

/** The time between two beats, and that after which a worker without one is blocked. */
const BEAT_MS = 5_000;
const SILENCE_MS = 7 * BEAT_MS;

function useMockTimers(t: Test): void {
  mock.timers.enable({ apis: ['setInterval'] });
  t.teardown(() => mock.timers.reset());
}

/** Watches workers, and gives those that were reported as blocked. */
function watch(t: Test): object[] {
  const silent: object[] = [];
  watchBeats((worker) => silent.push(worker));
  t.teardown(() => cluster.removeAllListeners());
  return silent;
}

const createWorker = ({ isDead = false } = {}) => ({ isDead: () => isDead });

test('A worker beats as long as it is connected to its primary', async (t) => {
  useMockTimers(t);
  const sent: string[] = [];
  let isConnected = true;
  const worker = { isConnected: () => isConnected, send: (text: string) => sent.push(text) };
  const load = (worker: object | undefined) =>
    t.mockImport<typeof import('../../src/heartbeat.ts')>('../../src/heartbeat.ts', {
      'node:cluster': { default: { worker } },
    });
  (await load(undefined)).beat();
  (await load(worker)).beat();
  mock.timers.tick(BEAT_MS - 1);
  t.same(sent, []);
  mock.timers.tick(1 + BEAT_MS);
  t.same(sent, ['alive', 'alive']);
  isConnected = false;
  mock.timers.tick(BEAT_MS);
  t.equal(sent.length, 2);
});

test('A worker without a beat for half a minute is blocked, which is said once', async (t) => {
  useMockTimers(t);
  const silent = watch(t);
  const [quiet, beating] = [createWorker(), createWorker()];
  for (const worker of [quiet, beating]) cluster.emit('listening', worker);
  for (let ms = 0; ms < SILENCE_MS - BEAT_MS; ms += BEAT_MS) {
    cluster.emit('message', beating, 'alive');
    mock.timers.tick(BEAT_MS);
  }
  t.same(silent, []);
  mock.timers.tick(BEAT_MS);
  t.equal(silent.length, 1);
  t.equal(silent[0], quiet);
  mock.timers.tick(BEAT_MS);
  t.equal(silent.length, 1);
});

test('A worker that has ended is not blocked, whatever arrives after its exit', async (t) => {
  useMockTimers(t);
  const silent = watch(t);
  const [ended, late] = [createWorker(), createWorker({ isDead: true })];
  for (const worker of [ended, late]) {
    cluster.emit('listening', worker);
    cluster.emit('exit', worker);
  }
  cluster.emit('message', late, 'alive');
  mock.timers.tick(2 * SILENCE_MS);
  t.same(silent, []);
});
