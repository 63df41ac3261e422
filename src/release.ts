import { buildApp } from './app.ts';
import { createLogger } from './logger.ts';
import { exitWith } from './operator-error.ts';

const logger = createLogger();

// Until it has succeeded: a platform starts the web processes after a release that ended with 0.
process.exitCode = 1;
release().catch((error) => exitWith(error, logger));

async function release(): Promise<void> {
  const app = await buildApp({ logger });
  await app.readiness.release();
  await app.close();
  process.exitCode = 0;
}
