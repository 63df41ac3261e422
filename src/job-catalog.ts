import path from 'node:path';
import { fileURLToPath } from 'node:url';
import createError from '@fastify/error';
import { type TSchema, Type } from 'typebox';
import { listFiles } from '../plugins/env/index.ts';
import type { Job } from '../plugins/jobs.ts';
import { createAjv } from '../plugins/validation/checks.ts';
import { STORABLE } from '../plugins/validation/schemas.ts';

const UnknownJob = createError<[string, string]>(
  'UNKNOWN_JOB',
  'There is no job named %s. These are there: %s.',
);
const BadPayload = createError<[string, string]>(
  'BAD_PAYLOAD',
  'The payload of the job %s does not fit: %s.',
);

/** Limits that types cannot say. pg-boss allows a run 24 hours: 23 leave time for its end. */
const JobLimits = Type.Object({
  schema: Type.Object({}),
  run: Type.Unknown(),
  schedule: Type.Optional(Type.String({ pattern: '^\\S+( \\S+){4}$' })),
  retries: Type.Integer({ minimum: 0, maximum: 1_000 }),
  retryDelayMs: Type.Integer({ minimum: 0, maximum: 86_400_000, multipleOf: 1_000 }),
  timeoutMs: Type.Integer({ minimum: 1, maximum: 82_800_000 }),
});

const ajv = createAjv();

const storable = new RegExp(STORABLE, 'u');

/** The jobs of the app, by their names. */
export class JobCatalog {
  readonly jobs: Map<string, Job>;

  private constructor(jobs: [string, Job][]) {
    this.jobs = new Map(jobs.map(([name, job]) => [name, checkRuns(name, job)]));
  }

  /** @throws an error that names the file which exports no job, or one that is not valid */
  static async load(folders: URL[]): Promise<JobCatalog> {
    const files = (await Promise.all(folders.map(listFiles))).flat();
    const jobs = await Promise.all(files.map(loadJob));
    const names = jobs.map(([name]) => name);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice) throw new Error(`Two files of jobs/ are named ${twice}: rename one`);
    return new JobCatalog(jobs);
  }

  /**
   * The job of this name, and its payload as the queue keeps it.
   *
   * @throws where there is no such job, or the payload does not fit
   */
  check(name: string, payload: unknown): { job: Job; data: object } {
    const job = this.jobs.get(name);
    if (!job) throw new UnknownJob(name, [...this.jobs.keys()].sort().join(', '));
    const data = readPayload(name, payload);
    checkPayload(name, job, data);
    return { job, data };
  }
}

/** What does not fit the schema, in words; undefined where all does. */
export function findMisfit(schema: TSchema, data: unknown, dataVar: string): string | undefined {
  return ajv.validate(schema, data) ? undefined : ajv.errorsText(ajv.errors, { dataVar });
}

/** A payload may come from an older version of its job. */
function checkRuns(name: string, job: Job): Job {
  const run: Job['run'] = async (given) => {
    checkPayload(name, job, given.payload);
    return job.run(given);
  };
  return { ...job, run };
}

function checkPayload(name: string, { schema }: Job, data: unknown): void {
  const misfit = findMisfit(schema, data, 'payload');
  if (misfit) throw new BadPayload(name, misfit);
}

async function loadJob(file: URL): Promise<[string, Job]> {
  const { default: job } = await import(file.href);
  const place = fileURLToPath(file);
  if (!job?.run)
    throw new Error(`${place} exports no job: add "export default defineJob({ … })", or move it`);
  const name = path.basename(place.replace(/(\/index)?\.[jt]s$/, ''));
  const problem = findProblem(name, job);
  if (problem) throw new Error(`${place}: ${problem}`);
  return [name, job];
}

function findProblem(name: string, job: Job): string | undefined {
  if (!/^[\w.-]+$/.test(name)) return 'a job is named with letters, digits, "_", "-" and "."';
  const misfit = findMisfit(JobLimits, job, 'job');
  if (misfit || !job.schedule) return misfit;
  const missing = findMisfit(job.schema, {}, 'payload');
  return missing && `its schedule gives it {}, which does not fit its schema: ${missing}`;
}

/** @throws where the payload is no JSON object, or has text that PostgreSQL does not store */
function readPayload(name: string, payload: unknown): object {
  try {
    const data = JSON.parse(JSON.stringify(payload ?? {}, checkText));
    if (typeof data !== 'object') throw new Error('payload must be object');
    return data;
  } catch (error) {
    throw new BadPayload(name, (error as Error).message);
  }
}

function checkText(_key: string, value: unknown): unknown {
  if (typeof value === 'string' && !storable.test(value))
    throw new Error('PostgreSQL stores no text with NUL or half of a surrogate pair');
  return value;
}
