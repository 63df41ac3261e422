import { inspect } from 'node:util';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { Job } from '../plugins/jobs.ts';

export type Headers = Record<string, string>;

/** Sees each job that is sent or run here, as plugins/telemetry does; its errors are thrown. */
export interface JobObserver {
  /** Calls `next` with what is kept with the job; it resolves with the job's id. */
  send(name: string, next: (headers: Headers) => Promise<string | null>): Promise<string | null>;
  /** Calls `next`, which runs the job and logs its end. */
  run(run: Run, next: () => Promise<Result>): Promise<Result>;
}

/** Where nobody observes. */
export const UNOBSERVED: JobObserver = {
  send: (_name, next) => next({}),
  run: (_run, next) => next(),
};

/** One run of a job. */
export interface Run {
  app: FastifyInstance;
  name: string;
  job: Job;
  id: string;
  /** Counted from 1. */
  attempt: number;
  payload: unknown;
  /** What an observer of its sender kept with it. */
  headers: Headers;
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

/** Runs a job until it ends, is late or is aborted; one that ignores the signal goes on alone. */
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
    return { ...end(attempt > job.retries ? 'failed' : 'retry'), err: readError(thrown) };
  }
}

/** A job may throw anything, also what fails when it is looked at. */
function readError(thrown: unknown): Error {
  try {
    return thrown instanceof Error ? thrown : new Error(`The job threw ${inspect(thrown)}`);
  } catch {
    return new Error('The job threw what cannot be read');
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
