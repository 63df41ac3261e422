import type { FastifyInstance } from 'fastify';
import { Kysely } from 'kysely';
import type { JobWithMetadata, PgBoss, UpdateOptions } from 'pg-boss';
import { DatabaseUnavailable } from '../plugins/database/database-errors.ts';
import type { Tables } from '../plugins/database/index.ts';
import { isFull } from '../plugins/database/pool-use.ts';
import { createDialect } from '../plugins/database/postgres-dialect.ts';
import type { Job } from '../plugins/jobs.ts';
import { transactions } from './job-boss.ts';
import type { Headers, Result } from './job-run.ts';
import { hideSecrets } from './redaction.ts';

/** Suffix of the queue for a job's schedule. Without keys, it keeps each scheduled run. */
export const CLOCK = '/clock';

const FAILED_RETENTION_S = 7 * 24 * 60 * 60;

/** High, so that pg-boss never gives up first: the worker counts attempts, except returned jobs. */
export const RETRY_LIMIT = 100_000;

export const QUEUE_NOT_FOUND = 'PGBOSS_QUEUE_NOT_FOUND';

type AttemptResult = Result & { attempt: number };

export function listQueues(jobs: Map<string, Job>): string[] {
  return [...jobs].flatMap(([name, { schedule }]) => (schedule ? [name, name + CLOCK] : [name]));
}

/**
 * The queues with a job to take, and those that are missing, whose error is logged. One query: to
 * ask each queue takes longer than most jobs.
 */
export async function findReady(boss: PgBoss, queues: string[]): Promise<string[]> {
  const { rows } = await boss.getDb().executeSql(
    `select wanted.name from unnest($1::text[]) as wanted (name)
      where not exists (select from pgboss.queue where queue.name = wanted.name)
        or exists (select from pgboss.job where job.name = wanted.name
          and state < 'active' and not blocked and start_after <= pgboss.job_now())`,
    [queues],
  );
  return rows.map(({ name }) => name);
}

/** The data that the queue stores for a job: the payload itself, if that is not ambiguous. */
export function putHeaders(payload: object, headers: Headers): object {
  const isPlain = Object.keys(headers).length === 0 && !Object.hasOwn(payload, '/headers');
  return isPlain ? payload : { '/headers': headers, '/payload': payload };
}

/** Reads a queued job. A scheduled run has no payload, and other programs may queue non-objects. */
export function readQueued(queued: JobWithMetadata<unknown>, jobs: Map<string, Job>) {
  const { id, data } = queued;
  const name = queued.name.replace(CLOCK, '');
  const job = jobs.get(name) as Job;
  const { '/headers': headers, '/payload': payload } = Object(data);
  const stored = headers ? { headers, payload } : { headers: {}, payload: data ?? {} };
  return { id, name, job, attempt: countAttempts(queued, job), ...stored };
}

function countAttempts({ retryCount, retryLimit }: JobWithMetadata<unknown>, job: Job): number {
  // Another program queued it, or it failed and is retried by hand: it gets one more attempt.
  if (retryLimit < RETRY_LIMIT) return Math.min(retryCount, job.retries) + 1;
  // Each return of the job has raised its limit by one.
  return retryCount + 1 - (retryLimit - RETRY_LIMIT);
}

/** Gives false if the job was cancelled, or another worker has it: heartbeats were missing. */
export function storeResult(
  boss: PgBoss,
  { db, databasePool: pool, databaseSpare: spare }: FastifyInstance,
  queued: JobWithMetadata,
  result: AttemptResult,
): Promise<boolean> {
  const isDone = result.outcome === 'done';
  const store = () => (isDone ? complete(boss, queued) : giveBack(boss, queued, result));
  // No other worker may take the job between two of these steps.
  const storeIn = (database: Kysely<Tables>) =>
    database.transaction().execute((transaction) => transactions.run(transaction, store));
  const storeNow = () => (isDone ? store() : storeIn(db));
  // Jobs that hang may hold the whole pool. Do not wait for it if the spare connection is free.
  if (!(pool && isFull(pool) && spare?.waitingCount === 0)) return storeNow().catch(dropResult);
  return storeIn(new Kysely({ dialect: createDialect(spare) }))
    .catch((error) => (error instanceof DatabaseUnavailable ? storeNow() : Promise.reject(error)))
    .catch(dropResult);
}

async function complete(boss: PgBoss, { name, id, retryCount }: JobWithMetadata): Promise<boolean> {
  // Its type lacks this field.
  if (Reflect.get(await boss.complete(name, { id, retryCount }), 'affected') > 0) return true;
  // The answer of an earlier try may have been lost.
  const [job] = await boss.findJobs(name, { id });
  return !job || (job.retryCount === retryCount && job.state === 'completed');
}

/** Stores only the name of an error: its message may contain a secret. NUL cannot be stored. */
async function giveBack(
  boss: PgBoss,
  { name, id, retryCount }: JobWithMetadata,
  { attempt, outcome, err, retryInMs = 0 }: AttemptResult,
): Promise<boolean> {
  const output = { error: err && hideSecrets(`${err.name}`).replaceAll('\0', '') };
  const update = (changes: UpdateOptions) => boss.update(name, undefined, { id, ...changes });
  await boss.fail(name, { id, retryCount }, output);
  const [job] = await boss.findJobs(name, { id });
  // A release has removed it with its queue, which pg-boss may still know.
  if (!job) return true;
  if (job.retryCount !== retryCount) return false;
  // Its limit was lower than RETRY_LIMIT, see countAttempts.
  if (job.state === 'failed') await boss.retry(name, id);
  // With this limit, countAttempts goes on from this attempt.
  const limit = RETRY_LIMIT + retryCount + 1 - attempt;
  if (outcome === 'retry') await update({ startAfter: retryInMs / 1_000, retryLimit: limit });
  else if (outcome === 'returned') await update({ startAfter: 0, retryLimit: limit + 1 });
  else {
    const limits = { retryLimit: retryCount, deleteAfterSeconds: FAILED_RETENTION_S };
    const { updated } = await update(limits);
    // The job now waits for its retry, so it is found by id only. Another worker may have it.
    if (updated > 0) await boss.fail(name, id, output);
  }
  return true;
}

/** A release deletes the queue of a removed job, which an older worker may still run. */
function dropResult(error: Error & { code?: string }): true {
  if (error.code !== QUEUE_NOT_FOUND) throw error;
  return true;
}
