import path from 'node:path';
import { fileURLToPath } from 'node:url';
import createError from '@fastify/error';
import { type TSchema, Type } from 'typebox';
import type { Job } from '../plugins/jobs.ts';
import { compileSchema, createAjv, explainFailure } from '../plugins/validation/ajv.ts';
import { isStorable, storableText } from '../plugins/validation/schemas.ts';
import { importFile } from './import-file.ts';
import { listFiles } from './list-files.ts';

const BadPayload = createError<[string, string]>(
  'BAD_PAYLOAD',
  'The payload of the job %s does not fit: %s.',
);
const BadOptions = createError<[string, string]>('BAD_OPTIONS', 'The job %s cannot be sent: %s.');

/** Limits that types cannot express. pg-boss allows 24 hours for a run; 23 leave time to end it. */
const JobLimits = Type.Object({
  schema: Type.Object({}),
  retries: Type.Integer({ minimum: 0, maximum: 1_000 }),
  retryDelayMs: Type.Integer({ minimum: 0, maximum: 86_400_000 }),
  timeoutMs: Type.Integer({ minimum: 1, maximum: 82_800_000 }),
});

/** pg-boss would take an H, as Jenkins has it, for another random time at each check. */
const SCHEDULE = /^(?!(.*[ ,])?H)\S+( \S+){4}$/;

/** Limits of `send`: a job starts within ten years, and its key fits into an index. */
const SendLimits = Type.Object({
  after: Type.Number({ maximum: 10 * 365 * 24 * 60 * 60 * 1_000 }),
  key: storableText({ maxLength: 500 }),
});

/** The schemas themselves are not checked: TypeBox made them, and a check would slow each start. */
const ajv = createAjv({ validateSchema: false });

/** Loads the jobs of these folders by name. Throws an error that names an invalid file. */
export async function loadJobs(folders: URL[]): Promise<Map<string, Job>> {
  const jobs = new Map<string, Job>();
  for (const file of folders.flatMap(listFiles)) {
    const place = fileURLToPath(file);
    const name = path.basename(place.replace(/([\\/]index)?\.[cm]?[jt]s$/, ''));
    const { default: job } = await importFile(file);
    if (!job?.run)
      throw new Error(`${place} exports no job: add "export default defineJob({…})" or move it`);
    const problem = findProblem(name, job);
    if (problem) throw new Error(`${place}: ${problem}`);
    if (jobs.has(name)) throw new Error(`Two files of jobs/ are named ${name}: rename one`);
    jobs.set(name, job);
  }
  return jobs;
}

function findProblem(name: string, job: Job): string | undefined {
  if (!/^[\w.-]+$/.test(name)) return 'a job name has only letters, digits, "_", "-" and "."';
  const misfit = findMisfit(JobLimits, job, 'job');
  if (misfit || job.schedule === undefined) return misfit;
  if (!SCHEDULE.test(job.schedule))
    return 'its schedule must be five fields of cron without H, one space between: 0 3 * * *';
  compileJob(name, job);
  const missing = findMisfit(job.schema, {}, 'payload');
  return missing && `its schedule gives it {}, which does not fit its schema: ${missing}`;
}

/** @throws an error that names the job and what is wrong with its schema */
export function compileJob(name: string, { schema }: Job): void {
  const remedy = 'write out what it refers to: a job does not know the schemas of app.addSchema';
  explainFailure(`of the job ${name}`, () => compileSchema(ajv, schema), remedy);
}

/** The payload as the queue stores it. Throws if it is not a JSON object or does not fit. */
export function readPayload(name: string, job: Job, payload: unknown): object {
  let data: unknown;
  try {
    data = JSON.parse(JSON.stringify(payload ?? {}, checkText));
  } catch (error) {
    throw new BadPayload(name, (error as Error).message);
  }
  if (typeof data !== 'object') throw new BadPayload(name, 'payload must be object');
  checkPayload(name, job, data);
  return data as object;
}

/** @throws if the payload does not fit the job's schema */
export function checkPayload(name: string, job: Job, payload: unknown): void {
  compileJob(name, job);
  const misfit = findMisfit(job.schema, payload, 'payload');
  if (misfit) throw new BadPayload(name, misfit);
}

export function checkOptions(name: string, after: Date | number, key: string): void {
  const options = { after: after instanceof Date ? after.getTime() - Date.now() : after, key };
  const misfit = findMisfit(SendLimits, options, 'options');
  if (misfit) throw new BadOptions(name, misfit);
}

function findMisfit(schema: TSchema, data: unknown, dataVar: string): string | undefined {
  return ajv.validate(schema, data) ? undefined : ajv.errorsText(ajv.errors, { dataVar });
}

function checkText(key: string, value: unknown): unknown {
  if (!isStorable(key) || (typeof value === 'string' && !isStorable(value)))
    throw new Error('PostgreSQL cannot store text with NUL or half of a surrogate pair');
  return value;
}
