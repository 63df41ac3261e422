import { buildApp } from './app.ts';
import { createLogger } from './log.ts';
import { exitWith } from './process.ts';

const logger = createLogger();

try {
  const app = await buildApp({ logger });
  const applied = await app.readiness.release();
  logger.info({ applied }, applied.length > 0 ? `Applied ${applied.join(', ')}` : 'Nothing to apply');
  await app.close();
} catch (error) {
  exitWith(error as Error, logger);
}
