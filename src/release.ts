import { createLogger } from './logger.ts';
import { closeInTime, endOnFailure } from './one-off.ts';
import './source-maps.ts';

const logger = createLogger();

// A platform starts the web processes after a release that exits with 0. A plugin may call exit().
let isDone = false;
// First, because src/output.ts writes the last lines at the exit.
process.prependListener('exit', (code) => {
  if (isDone) return;
  if (code === 0)
    logger.fatal('The release is not done: has a plugin or a migration called process.exit()?');
  process.exitCode = 1;
});
endOnFailure(logger);
const { buildApp } = await import('./app.ts');
const app = await buildApp({ logger });
// Finds invalid schemas and schedules before the web processes start, where it would be too slow.
await app.compileSchemas();
await Reflect.get(app, 'jobs')?.checkAll();
await app.readiness.release();
await closeInTime(app);
isDone = true;
// Telemetry may still be trying to reach its collector.
process.exit(0);
