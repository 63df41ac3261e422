import { buildApp } from '../../src/app.ts';
import { exitWith } from '../../src/exit-with.ts';
import { createLogger } from '../../src/logger.ts';
import { FOLDERS } from './folders.ts';

const logger = createLogger();
try {
  const app = await buildApp({ ...FOLDERS, logger });
  await app.readiness.release();
  await app.close();
} catch (error) {
  exitWith(error as Error, logger);
}
