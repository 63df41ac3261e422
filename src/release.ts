import { buildApp } from './app.ts';
import { createLogger } from './log.ts';
import { exitWith } from './process.ts';

const logger = createLogger();

release().catch((error) => exitWith(error, logger));

async function release(): Promise<void> {
  const app = await buildApp({ logger });
  await app.readiness.release();
  await app.close();
}
