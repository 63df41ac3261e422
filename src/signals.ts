/** What stops a process: platforms send SIGTERM, Ctrl-C SIGINT, a terminal that closes SIGHUP. */
export const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** A second Ctrl-C counts after so many milliseconds: `node --watch` repeats the first one. */
const SECOND_INTERRUPT_MS = 100;

let stop = (): void => process.exit(0);
let interruptedAt = Number.POSITIVE_INFINITY;

for (const signal of STOP_SIGNALS) process.on(signal, () => stop());
process.on('SIGINT', () => {
  if (performance.now() - interruptedAt > SECOND_INTERRUPT_MS) process.exit(130);
  interruptedAt = Math.min(interruptedAt, performance.now());
});
// Without a handler of ours, Node opens a debugger's port.
process.on('SIGUSR1', () => undefined);

/** Says what to do at a signal to stop. Before, the process ends at once: it serves nobody yet. */
export function onStop(run: () => void): void {
  stop = run;
}
