import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { exitWith } from './exit-with.ts';
import { OperatorError } from './operator-error.ts';
import { onStop } from './signals.ts';

/** How long closing may take, in milliseconds. */
const CLOSE_MS = 5_000;

/** Does not wait for a hook that never ends, or for the transaction of a job that was too late. */
export async function closeInTime(app: FastifyInstance): Promise<void> {
  await Promise.race([app.close(), sleep(CLOSE_MS)]);
}

/** Waits without a limit until stdout has taken what was printed: process.exit() would drop it. */
export async function finishOutput(): Promise<void> {
  await new Promise((resolve) => process.stdout.write('', resolve));
}

/** Exits with 1 at an error or signal: Node prints secrets, and ignores signals as process 1. */
export function endOnFailure(logger: FastifyBaseLogger): void {
  process.on('uncaughtException', (thrown) => exitWith(thrown, logger));
  onStop(() => exitWith(new OperatorError('A signal stopped the process before its end'), logger));
}
