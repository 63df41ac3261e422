import { createLogger } from './logger.ts';
import { exitWith } from './operator-error.ts';
import './source-maps.ts';

const { buildApp } = await import('./app.ts');
const logger = createLogger();

// Until it has succeeded: a platform starts the web processes after a release that ended with 0.
process.exitCode = 1;
release().catch((error) => exitWith(error, logger));

async function release(): Promise<void> {
  const app = await buildApp({ logger });
  // Too slow for the start of the web processes, which come after it.
  await app.compileSchemas();
  await app.readiness.release();
  await app.close();
  // A collector that is away may still be asked again.
  process.exit(0);
}
