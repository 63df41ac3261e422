import { inspect } from 'node:util';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { Job, JobRun } from '../plugins/jobs.ts';
import { checkPayload } from './job-catalog.ts';

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
export interface Run extends Pick<JobRun<unknown>, 'id' | 'attempt' | 'payload'> {
  name: string;
  job: Job;
  /** What an observer of its sender kept with it. */
  headers: Headers;
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

/**
 * Runs a job until it ends, is late or is aborted; one that ignores the signal goes on alone. A
 * line of the log sums it up, after `settle` was told how it ended.
 */
export async function runJob(
  app: FastifyInstance,
  run: Run,
  settle?: (result: Result) => Promise<unknown>,
): Promise<Result> {
  const startedAt = performance.now();
  const log = app.log.child({ job: run.name, id: run.id });
  const end = await waitForEnd(run, app, log).then(
    () => ({ outcome: 'done' as const }),
    (thrown) => judgeFailure(run, thrown),
  );
  const result = { ...end, durationMs: Math.round(performance.now() - startedAt) };
  await settle?.(result);
  log[LEVELS[result.outcome]]({ attempt: run.attempt, ...result }, `job ${result.outcome}`);
  return result;
}

async function waitForEnd(
  { name, job, id, attempt, payload, controller }: Run,
  app: FastifyInstance,
  log: FastifyBaseLogger,
): Promise<void> {
  if (attempt > job.retries + 1) throw new Error('The worker was killed at the last attempt');
  // It may come from an older version of the job.
  checkPayload(name, job, payload);
  const { signal } = controller;
  const work = async () => job.run({ app, payload, signal, log, id, attempt });
  const late = new DOMException(`The job took longer than ${job.timeoutMs} ms`, 'TimeoutError');
  const timer = setTimeout(() => controller.abort(late), job.timeoutMs);
  // At once: what the job makes of the signal comes later, and is not its end.
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  try {
    await Promise.race([work(), aborted]);
  } finally {
    clearTimeout(timer);
  }
}

function judgeFailure({ job, attempt }: Run, thrown: unknown): Omit<Result, 'durationMs'> {
  if (thrown === RETURNED) return { outcome: 'returned' };
  return { outcome: attempt > job.retries ? 'failed' : 'retry', err: readError(thrown) };
}

/** A job may throw anything, also what fails when it is looked at. */
function readError(thrown: unknown): Error {
  try {
    return thrown instanceof Error ? thrown : new Error(`The job threw ${inspect(thrown)}`);
  } catch {
    return new Error('The job threw what cannot be read');
  }
}
