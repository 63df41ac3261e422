import type { Jobs } from '../plugins/jobs.ts';
import { type AppOptions, buildApp } from './app.ts';
import { createLogger } from './logger.ts';
import { exitWith, OperatorError } from './operator-error.ts';

const USAGE =
  "Give a job's name and its payload in JSON: " +
  `npm run job send-mail '{"to":"ann@example.com"}'`;

/**
 * Runs one job in the foreground, once. Exit codes: 0 when it is done, 1 after an error, which is
 * logged.
 *
 * @param args its name, and its payload as JSON, {} where there is none
 */
export async function runJobCommand(
  args: string[],
  options: Pick<AppOptions, 'jobs'> = {},
): Promise<void> {
  const logger = createLogger();
  try {
    const [name, payload] = readArguments(args);
    const app = await buildApp({ ...options, logger });
    app.jobs.check(name, payload);
    // A failure stands in the line that sums up the run.
    const run = app.jobs.run(name as keyof Jobs, payload as never);
    const code = await run.then(() => 0).catch(() => 1);
    await app.close();
    process.exit(code);
  } catch (error) {
    exitWith(error as Error, logger);
  }
}

function readArguments([name, json = '{}', ...rest]: string[]): [string, unknown] {
  try {
    if (name && rest.length === 0) return [name, JSON.parse(json)];
  } catch {
    // What is no JSON is told as the rest is.
  }
  throw new OperatorError(USAGE);
}
