import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type { Job, JobRun } from '../plugins/jobs.ts';
import { toError } from './error-log.ts';
import { checkPayload } from './job-catalog.ts';

export type Headers = Record<string, string>;

/** Observes the jobs that this process sends and runs, as plugins/telemetry does. */
export interface JobObserver {
  /** Calls `next` with the headers to store with the job. `next` resolves with the job's id. */
  send(name: string, next: (headers: Headers) => Promise<string | null>): Promise<string | null>;
  run(run: Run, next: () => Promise<Result>): Promise<Result>;
}

export const UNOBSERVED: JobObserver = { send: (_, next) => next({}), run: (_, next) => next() };

export interface Run extends Pick<JobRun<unknown>, 'id' | 'attempt' | 'payload'> {
  name: string;
  job: Job;
  headers: Headers;
  /** Aborted with RETURNED if the worker cannot wait for the end. */
  controller: AbortController;
  hasBegun?: boolean;
}

const LEVELS = { done: 'info', retry: 'warn', failed: 'error', returned: 'info' } as const;

export interface Result {
  outcome: keyof typeof LEVELS;
  durationMs: number;
  err?: Error;
  retryInMs?: number;
}

/** How often the time until a retry doubles: pg-boss's own limit. */
const MAX_DOUBLINGS = 15;

const NO_ATTEMPT =
  'No attempt is left: the worker was killed at the last one, or the job has fewer retries now';

const CUT_SHORT = 'The worker stopped before the end of the job, which has no retries';

export const RETURNED = new Error('The worker stops and gives the job back');

/**
 * Runs a job until it ends, is late or is aborted. Logs the stored result. A job that ignores the
 * signal goes on in the background. `storeResult` gives false if another worker gets the job.
 */
export async function runJob(
  app: FastifyInstance,
  run: Run,
  storeResult: (result: Result) => Promise<boolean> = async () => true,
): Promise<Result> {
  const startedAt = performance.now();
  const log = app.log.child({ job: run.name, id: run.id });
  const end = await waitForEnd(run, app, log).then(
    () => ({ outcome: 'done' as const }),
    (thrown) => judgeFailure(run, thrown),
  );
  const result: Result = { ...end, durationMs: Math.round(performance.now() - startedAt) };
  if (!(await storeResult(result))) result.outcome = 'returned';
  log[LEVELS[result.outcome]]({ attempt: run.attempt, ...result }, `job ${result.outcome}`);
  return result;
}

async function waitForEnd(run: Run, app: FastifyInstance, log: FastifyBaseLogger): Promise<void> {
  const { name, job, id, attempt, payload, controller } = run;
  if (attempt > job.retries + 1) throw new Error(NO_ATTEMPT);
  // An older version of the job may have sent the payload.
  checkPayload(name, job, payload);
  const { signal } = controller;
  signal.throwIfAborted();
  // A job may change the level of its logger, but not that of its summary.
  run.hasBegun = true;
  const work = async () => job.run({ app, payload, signal, log: log.child({}), id, attempt });
  const late = new DOMException(`The job took longer than ${job.timeoutMs} ms`, 'TimeoutError');
  const timer = setTimeout(() => controller.abort(late), job.timeoutMs);
  // The run ends at once. The job's own reaction to the signal comes later and does not count.
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  try {
    await Promise.race([work(), aborted]);
  } finally {
    clearTimeout(timer);
  }
}

function judgeFailure(run: Run, thrown: unknown): Omit<Result, 'durationMs'> {
  const { job, attempt, hasBegun } = run;
  const isOnce = job.retries === 0 && hasBegun;
  if (thrown === RETURNED && !isOnce) return { outcome: 'returned' };
  const err = thrown === RETURNED ? new Error(CUT_SHORT) : toError(thrown);
  if (attempt > job.retries) return { outcome: 'failed', err };
  // The random part spreads the retries of jobs that failed together.
  const factor = 2 ** Math.min(attempt - 1, MAX_DOUBLINGS) * (1 + Math.random());
  return { outcome: 'retry', err, retryInMs: Math.round(job.retryDelayMs * factor) };
}
