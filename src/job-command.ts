import type { FastifyInstance } from 'fastify';
import type { Jobs } from '../plugins/jobs.ts';
import { type AppOptions, buildApp } from './app.ts';
import { createLogger } from './logger.ts';
import { closeInTime, endOnFailure, finishOutput } from './one-off.ts';
import { OperatorError } from './operator-error.ts';

const USAGE =
  "Give a job's name and its payload in JSON: " +
  `npm run job send-mail '{"to":"ann@example.com"}'`;

/** Runs one job once, in this process. Exits with 0 when it is done, and 1 after a logged error. */
export async function runJobCommand(
  args: string[],
  options: Pick<AppOptions, 'jobs'> = {},
): Promise<void> {
  const logger = createLogger();
  endOnFailure(logger);
  const [name, payload] = readArguments(args);
  const app = await buildApp({ ...options, logger });
  checkJob(app, name, payload);
  // runJob logs a failure.
  const run = app.jobs.run(name as keyof Jobs, payload as never);
  const code = await run.then(() => 0).catch(() => 1);
  await closeInTime(app);
  await finishOutput();
  process.exit(code);
}

function checkJob({ jobs }: FastifyInstance, name: string, payload: unknown): void {
  try {
    jobs.check(name, payload);
  } catch (cause) {
    throw new OperatorError((cause as Error).message, { cause });
  }
}

function readArguments([name, json = '{}', ...rest]: string[]): [string, unknown] {
  try {
    if (name && rest.length === 0) return [name, JSON.parse(json)];
  } catch {
    // Invalid JSON gets the same error as other wrong arguments.
  }
  throw new OperatorError(USAGE);
}
