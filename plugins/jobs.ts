import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import type { Transaction } from 'kysely';
import { type Static, type TSchema, Type } from 'typebox';
import { loadJobs } from '../src/job-catalog.ts';
import { JobQueue } from '../src/job-queue.ts';
import type { Tables } from './database/index.ts';

export const settings = Type.Object({
  JOBS_IN_WEB: Type.Enum(['true', 'false'], {
    default: 'false',
    description: 'Whether `web` takes jobs too, where no `worker` runs',
  }),
  WORKER_CONCURRENCY: Type.Integer({
    minimum: 1,
    maximum: 1_000,
    default: 5,
    description: 'How many jobs one worker runs at once',
  }),
});

declare module './env/index.ts' {
  interface Config extends Static<typeof settings> {}
}

/** The payload of each job by its name; each file of jobs/ merges its own into it. */
// biome-ignore lint/suspicious/noEmptyInterface: the jobs are merged into it.
export interface Jobs {}

declare module 'fastify' {
  interface FastifyInstance {
    jobs: JobQueue;
  }
}

/** What a job is given at each run. */
export interface JobRun<Payload> {
  app: FastifyInstance;
  payload: Payload;
  /** Aborted when the time is up, or when the worker has to stop and gives the job back. */
  signal: AbortSignal;
  /** Its lines carry the job's name and id. */
  log: FastifyBaseLogger;
  id: string;
  /** Counted from 1. */
  attempt: number;
}

interface JobOptions {
  /** A cron expression of five fields, in UTC; the payload is then {}. */
  schedule?: string;
  /** How often it is tried again after it failed; 5 times by default. */
  retries?: number;
  /** Milliseconds before the first retry, whole seconds; doubled with each. 1,000 by default. */
  retryDelayMs?: number;
  /** How long one run may take, in milliseconds; 60,000 by default. */
  timeoutMs?: number;
}

/** A job as the queue knows it, whatever its payload is. */
export interface Job extends Required<Omit<JobOptions, 'schedule'>> {
  schema: TSchema;
  schedule?: string;
  run(run: JobRun<unknown>): Promise<unknown>;
}

/** Describes a job; the default export of a file of jobs/, which it is named after. */
export function defineJob<Schema extends TSchema>(
  job: JobOptions & { schema: Schema; run(run: JobRun<Static<Schema>>): Promise<unknown> },
): Job {
  return { retries: 5, retryDelayMs: 1_000, timeoutMs: 60_000, ...job } as Job;
}

export interface SendOptions {
  /** When it may begin, or how many milliseconds from now. */
  after?: Date | number;
  /** While one with this key waits to begin, another is not queued. */
  key?: string;
  /** The job exists if this commits, and only then. */
  transaction?: Transaction<Tables>;
}

/** Work without a request as `app.jobs`: sent through the database, taken by `worker`. */
export default fp(
  async (app, { jobs: folders }: { jobs: URL[] }) => {
    const queue = new JobQueue(app, await loadJobs(folders));
    app.decorate('jobs', queue);
    app.prepareDatabase((driver) => queue.prepare(driver));
    if (app.config.JOBS_IN_WEB === 'true') app.addHook('onListen', async () => queue.take());
    app.addHook('preClose', () => queue.close());
  },
  { name: 'jobs', dependencies: ['database'] },
);
