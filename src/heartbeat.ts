import cluster, { type Worker } from 'node:cluster';

const BEAT_MS = 5_000;

/** A worker is blocked after this many missing beats. A time limit would fail after a suspend. */
const MAX_MISSING = 6;

/** Tells the primary, if there is one, that the event loop of this process runs. */
export function beat(): void {
  const { worker } = cluster;
  if (worker) setInterval(() => worker.isConnected() && worker.send('alive'), BEAT_MS).unref();
}

/** Calls `onSilence` once for a worker whose event loop has been blocked for half a minute. */
export function watchBeats(onSilence: (worker: Worker) => void): void {
  const missing = new Map<Worker, number>();
  for (const event of ['listening', 'message'])
    cluster.on(event, (worker) => missing.set(worker, 0));
  cluster.on('exit', (worker) => missing.delete(worker));
  const count = () => {
    for (const [worker, beats] of missing) {
      missing.set(worker, beats + 1);
      // Its last message may have come after its exit.
      if (beats === MAX_MISSING && !worker.isDead()) onSilence(worker);
    }
  };
  setInterval(count, BEAT_MS).unref();
}
