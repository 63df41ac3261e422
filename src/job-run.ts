import { inspect } from 'node:util';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { Job } from '../plugins/jobs.ts';

/** One run of a job. */
export interface Run {
  app: FastifyInstance;
  job: Job;
  id: string;
  /** Counted from 1. */
  attempt: number;
  payload: unknown;
  /** With the job's name and id. */
  log: FastifyBaseLogger;
  /** Aborted with RETURNED where the worker cannot wait for the end. */
  controller: AbortController;
}

/** How a run ended, and how severe that is. */
const LEVELS = { done: 'info', retry: 'warn', failed: 'error', returned: 'info' } as const;

export interface Result {
  outcome: keyof typeof LEVELS;
  durationMs: number;
  /** What was thrown, or what the run was aborted with. */
  err?: Error;
}

/** What a run is aborted with when its job is given back. */
export const RETURNED = new Error('The worker stops and gives the job back');

/** Runs a job until it ends, is late or is aborted; a job that does not heed the signal then goes on by itself. */
export async function runJob(run: Run): Promise<Result> {
  const { job, attempt } = run;
  const startedAt = performance.now();
  const end = (outcome: Result['outcome']) => {
    return { outcome, durationMs: Math.round(performance.now() - startedAt) };
  };
  try {
    if (attempt > job.retries + 1) throw new Error('The worker was killed at the last attempt');
    await waitForEnd(run);
    return end('done');
  } catch (thrown) {
    if (thrown === RETURNED) return end('returned');
    const err = thrown instanceof Error ? thrown : new Error(`The job threw ${inspect(thrown)}`);
    return { ...end(attempt > job.retries ? 'failed' : 'retry'), err };
  }
}

async function waitForEnd({ job, controller, ...run }: Run): Promise<void> {
  const { signal } = controller;
  const late = new DOMException(`The job took longer than ${job.timeoutMs} ms`, 'TimeoutError');
  const timer = setTimeout(() => controller.abort(late), job.timeoutMs);
  const aborted = new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  try {
    await Promise.race([job.run({ ...run, signal }), aborted]);
  } finally {
    clearTimeout(timer);
  }
}

/** The line of the log that sums up a run. */
export function logResult({ log, attempt }: Run, { outcome, ...result }: Result): void {
  log[LEVELS[outcome]]({ attempt, outcome, ...result }, `job ${outcome}`);
}
