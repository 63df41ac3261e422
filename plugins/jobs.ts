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
    description: 'Whether `web` runs jobs too, for an app without a `worker`',
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

/** The payload of each job by its name. Each file of jobs/ adds its own. */
// biome-ignore lint/suspicious/noEmptyInterface: the jobs are merged into it.
export interface Jobs {}

declare module 'fastify' {
  interface FastifyInstance {
    jobs: JobQueue;
  }
}

export interface JobRun<Payload> {
  app: FastifyInstance;
  payload: Payload;
  /** Aborted when the job is late, or when the worker stops and gives the job back. */
  signal: AbortSignal;
  /** Adds the job's name and id to each line. */
  log: FastifyBaseLogger;
  id: string;
  /** Counted from 1. */
  attempt: number;
}

/** A job with any payload, as the queue uses it. */
export interface Job {
  schema: TSchema;
  /** A cron expression of five fields, in UTC. Scheduled runs have the payload {}. */
  schedule?: string;
  /** How many times a failed job is tried again; 5 by default. */
  retries: number;
  /** Milliseconds to the first retry; 1,000 by default. Doubles each time, plus a random part. */
  retryDelayMs: number;
  /** How long one run may take, in milliseconds; 60,000 by default. */
  timeoutMs: number;
  run(run: JobRun<unknown>): Promise<unknown>;
}

type Options = Partial<Omit<Job, 'schema' | 'run'>>;

/** Defines a job. It is the default export of a file in jobs/, and has the name of that file. */
export function defineJob<Schema extends TSchema>(
  job: Options & { schema: Schema; run(run: JobRun<Static<Schema>>): Promise<unknown> },
): Job {
  return { retries: 5, retryDelayMs: 1_000, timeoutMs: 60_000, ...job } as Job;
}

export interface SendOptions {
  /** The earliest start: a time, or milliseconds from now. */
  after?: Date | number;
  /** While a job with this key waits to start, a second one is not queued. */
  key?: string;
  /** The job exists only if this transaction commits. */
  transaction?: Transaction<Tables>;
}

/** Work without a request, as `app.jobs`. The database queues jobs, and `worker` runs them. */
export default fp(
  async (app, { jobs: folders }: { jobs: URL[] }) => {
    const queue = new JobQueue(app, await loadJobs(folders));
    app.decorate('jobs', queue);
    app.prepareDatabase(
      (driver) => queue.prepare(driver),
      (db) => queue.findMissing(db),
    );
    if (app.config.JOBS_IN_WEB === 'true') app.addHook('onListen', async () => queue.take());
  },
  { name: 'jobs', dependencies: ['database'] },
);
