import cluster, { type Worker } from 'node:cluster';

/** How often a worker says that its event loop turns, in milliseconds. */
const BEAT_MS = 5_000;

/** It stands still after so many missing beats; not after a time: a machine may be suspended. */
const MAX_MISSING = 6;

/** Tells the primary, where there is one, that the event loop of this process turns. */
export function beat(): void {
  const { worker } = cluster;
  if (worker) setInterval(() => worker.isConnected() && worker.send('alive'), BEAT_MS).unref();
}

/** Calls `onSilence` for a worker whose event loop has not turned for half a minute, once. */
export function watchBeats(onSilence: (worker: Worker) => void): void {
  const missing = new Map<Worker, number>();
  cluster.on('message', (worker) => missing.set(worker, 0));
  const count = () => {
    for (const [worker, beats] of missing) {
      missing.set(worker, beats + 1);
      if (worker.isDead()) missing.delete(worker);
      else if (beats === MAX_MISSING) onSilence(worker);
    }
  };
  setInterval(count, BEAT_MS).unref();
}
