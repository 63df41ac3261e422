import type { Jobs } from '../plugins/jobs.ts';
import { createLogger } from './logger.ts';
import { exitWith, OperatorError } from './operator-error.ts';
import './source-maps.ts';

const { buildApp } = await import('./app.ts');
const logger = createLogger();

// One job, now, in the foreground: it is not queued, and not tried again.
process.exitCode = 1;
runJob(process.argv.slice(2)).catch((error) => exitWith(error, logger));

async function runJob([name = '', json = '{}', ...rest]: string[]): Promise<void> {
  const payload = rest.length === 0 && parse(json);
  if (!name || !payload) {
    const usage = `Give a job's name and its payload in JSON: npm run job send-mail '{"to":"ann@example.com"}'`;
    throw new OperatorError(usage);
  }
  const app = await buildApp({ logger });
  await app.jobs.run(name as keyof Jobs, payload as never).finally(() => app.close());
  process.exitCode = 0;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
