import type { FastifyBaseLogger } from 'fastify';
import { toError } from './error-log.ts';
import { exitWith, OperatorError } from './operator-error.ts';
import { onStop } from './signals.ts';

/**
 * Resolves when stdout has taken what was printed with console.log: process.exit() would drop what
 * the reader of a pipe has not read yet. A reader may take its time, as `less` does.
 */
export async function finishOutput(): Promise<void> {
  // The work is done, also if the disk is full or the reader has gone.
  process.stdout.on('error', () => undefined);
  await new Promise((resolve) => process.stdout.write('', resolve));
}

/**
 * For a process that does one thing: an uncaught exception or a signal to stop ends it with exit
 * code 1, and the reason is the last line of the log. Node alone would print errors with their
 * secrets, and as process 1 of a container it ignores signals.
 */
export function endOnFailure(logger: FastifyBaseLogger): void {
  process.on('uncaughtException', (thrown) => exitWith(toError(thrown), logger));
  onStop(() => exitWith(new OperatorError('A signal stopped the process before its end'), logger));
}
