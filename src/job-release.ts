import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyBaseLogger as Log } from 'fastify';
import { type Kysely, sql } from 'kysely';
import type { PgBoss } from 'pg-boss';
import type { DatabaseDriver } from '../plugins/database/index.ts';
import type { Job } from '../plugins/jobs.ts';
import { OWNER, SCHEMA_VERSION, startBoss } from './job-boss.ts';
import { HEARTBEAT_S } from './job-heartbeat.ts';
import { CLOCK, listQueues, RETRY_LIMIT } from './job-storage.ts';
import { OperatorError } from './operator-error.ts';

const UNDEFINED_TABLE = '42P01';
const INSUFFICIENT_PRIVILEGE = '42501';

const NO_SCHEMA =
  'The role may not create the schema pgboss of the job queue. ' +
  'As an administrator, run "create schema pgboss authorization ROLE".';

/** SQLSTATEs (PostgreSQL, appendix A) of a deadlock, and of a lock that was not given up. */
const IN_USE = ['40P01', '55P03'];

const TRIES = 5;

const DAY_S = 24 * 60 * 60;

const BUILD_POLL_MS = 250;

/** Throws an error that names a job with a schedule pg-boss cannot read. Opens no connection. */
export async function checkSchedules(jobs: Map<string, Job>): Promise<void> {
  const { PgBoss } = await import('pg-boss');
  const boss = new PgBoss('postgres://');
  for (const [name, { schedule }] of jobs)
    try {
      if (schedule) boss.previewSchedule(schedule, { count: 1 });
    } catch (error) {
      const { message } = error as Error;
      throw new OperatorError(`The job ${name} cannot have the schedule "${schedule}": ${message}`);
    }
}

/** Creates or changes pg-boss's tables. That takes locks, which workers or a backup may hold. */
export async function startOwner(driver: DatabaseDriver, log: Log, tries = TRIES): Promise<PgBoss> {
  const onError = (err: Error) => log.error({ err }, err.message);
  const createSchema = !(await hasSchema(driver));
  return startBoss(driver, onError, { ...OWNER, createSchema }).catch(async (err) => {
    if (createSchema && err.code === INSUFFICIENT_PRIVILEGE)
      throw new OperatorError(NO_SCHEMA, { cause: err });
    if (!('pool' in driver && IN_USE.includes(err.code))) throw err;
    // pg-boss sends a transaction as one text. The pool gives the last connection, still in it.
    await driver.pool.query('rollback').catch(() => undefined);
    const reason = 'The tables of the job queue are in use, and could not be changed';
    if (tries === 1) throw new OperatorError(`${reason}. Run the release again.`, { cause: err });
    log.warn({ err }, `${reason}: trying again`);
    return startOwner(driver, log, tries - 1);
  });
}

/** PostgreSQL checks the right to create a schema although it exists: an administrator may have. */
async function hasSchema(driver: DatabaseDriver): Promise<boolean> {
  if (!('pool' in driver)) return false;
  const { rows } = await driver.pool.query("select to_regnamespace('pgboss') as found");
  return rows[0].found !== null;
}

/** Makes queues and schedules fit the jobs, and returns the steps. Safe in several processes. */
export async function prepareQueues(
  boss: PgBoss,
  jobs: Map<string, Job>,
  log: Log,
): Promise<string[]> {
  await finishBuilds(boss, log);
  const queues = await boss.getQueues();
  // Other programs may have queues in the same tables. No other has this limit.
  const own = queues.filter(({ retryLimit }) => retryLimit === RETRY_LIMIT);
  const found = own.map(({ name }) => name);
  for (const [name, job] of jobs) await saveJob(boss, name, job);
  const wanted = listQueues(jobs);
  const gone = found.filter((name) => !wanted.includes(name));
  for (const name of gone) {
    const deleted = await boss.deleteQueuedJobs(name);
    if (deleted > 0)
      log.warn({ job: name, deleted }, 'Jobs that waited are deleted: their file is gone');
    await boss.deleteQueue(name);
  }
  const made = wanted.filter((name) => !found.includes(name));
  return [...made.map((name) => `queue ${name}`), ...gone.map((name) => `no queue ${name}`)];
}

/** The queues of jobs that the database lacks; all of them if its tables are missing or older. */
export async function findMissing(db: Kysely<unknown>, jobs: Map<string, Job>): Promise<string[]> {
  if (jobs.size === 0) return [];
  const found = await sql<{ name: string }>`
    select name from pgboss.queue where (select version from pgboss.version) >= ${SCHEMA_VERSION}`
    .execute(db)
    .catch((error) => (error.code === UNDEFINED_TABLE ? { rows: [] } : Promise.reject(error)));
  const names = found.rows.map(({ name }) => name);
  return listQueues(jobs)
    .filter((name) => !names.includes(name))
    .map((name) => `queue ${name}`);
}

/** Waits until pg-boss has built its large indexes. Only a process with OWNER may build them. */
async function finishBuilds(boss: PgBoss, log: Log): Promise<void> {
  const isBuilding = async () => {
    const states = (await boss.getBamStatus()).map(({ status }) => status);
    if (states.includes('failed'))
      throw new Error('An index of the job queue was not built: the table pgboss.bam says why');
    return states.some((status) => status !== 'completed');
  };
  if (!(await isBuilding())) return;
  log.info('Waiting until the indexes of the job queue are built');
  do await sleep(BUILD_POLL_MS);
  while (await isBuilding());
}

async function saveJob(boss: PgBoss, name: string, { schedule }: Job): Promise<void> {
  const options = {
    retryLimit: RETRY_LIMIT,
    // For jobs of killed workers. The worker itself delays the retries of failed jobs.
    retryDelay: 0,
    retryBackoff: false,
    // pg-boss's maximum: the worker ends late jobs, and a release may give waiting ones more time.
    expireInSeconds: DAY_S,
    heartbeatSeconds: 3 * HEARTBEAT_S,
    retentionSeconds: 365 * DAY_S,
    deleteAfterSeconds: DAY_S,
  };
  // `short` lets one job of each key wait. An existing queue keeps its policy.
  await boss.createQueue(name, { ...options, policy: 'short' });
  await boss.updateQueue(name, options);
  if (!schedule) return;
  await boss.createQueue(name + CLOCK, options);
  await boss.updateQueue(name + CLOCK, options);
  await boss.schedule(name + CLOCK, schedule);
}
