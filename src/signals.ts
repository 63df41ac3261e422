// Entries import this first, because a signal can come while the app loads.

/** Platforms send SIGTERM, Ctrl-C sends SIGINT, and a terminal that closes sends SIGHUP. */
export const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** A second Ctrl-C counts only after this time, in milliseconds: `node --watch` sends it twice. */
const SECOND_INTERRUPT_MS = 100;

let stop = (): void => process.exit(0);
let interruptedAt = Number.POSITIVE_INFINITY;

for (const signal of STOP_SIGNALS) process.on(signal, () => stop());
process.on('SIGINT', () => {
  if (performance.now() - interruptedAt > SECOND_INTERRUPT_MS) process.exit(130);
  interruptedAt = Math.min(interruptedAt, performance.now());
});
// Without our own handler, Node opens a debugger port.
process.on('SIGUSR1', () => undefined);

/** Sets what a signal to stop does. Before this call, it ends the process at once. */
export function onStop(run: () => void): void {
  stop = run;
}
