import cluster, { type Worker } from 'node:cluster';
import { test } from 'tap';
import { watchBeats } from '../../src/heartbeat.ts';

test('A worker is silent after six missing beats, but not one that has left the cluster', (t) => {
  const { setInterval: repeat } = globalThis;
  const turns: (() => void)[] = [];
  globalThis.setInterval = ((run: () => void) => {
    turns.push(run);
    return { unref() {} };
  }) as unknown as typeof repeat;
  t.teardown(() => {
    globalThis.setInterval = repeat;
    for (const event of ['listening', 'message']) cluster.removeAllListeners(event);
  });
  const silent: Worker[] = [];
  watchBeats((worker) => silent.push(worker));
  const [stuck, left] = [true, false].map((is) => ({ isConnected: () => is }) as Worker);
  for (const worker of [stuck, left]) cluster.emit('listening', worker);
  const count = () => {
    for (const run of turns) run();
  };
  for (let beats = 0; beats < 6; beats++) count();
  t.strictSame(silent, []);
  for (let beats = 0; beats < 6; beats++) count();
  t.equal(silent.length, 1, 'it is reported once');
  t.equal(silent[0], stuck);
  t.end();
});
