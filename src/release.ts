import { createLogger } from './logger.ts';
import { endOnFailure } from './one-off.ts';
import './source-maps.ts';

const logger = createLogger();

// Fail by default: a platform starts the web processes after a release that exits with 0.
process.exitCode = 1;
endOnFailure(logger);
const { buildApp } = await import('./app.ts');
const app = await buildApp({ logger });
// Finds invalid schemas and schedules before the web processes start, where it would be too slow.
await app.compileSchemas();
await Reflect.get(app, 'jobs')?.checkAll();
await app.readiness.release();
await app.close();
// Telemetry may still be trying to reach its collector.
process.exit(0);
