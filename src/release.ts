// As in src/web.ts.
process.setSourceMapsEnabled(true);

const { buildApp } = await import('./app.ts');
const { createLogger } = await import('./log.ts');
const { exitWith } = await import('./process.ts');

const logger = createLogger();

try {
  const app = await buildApp({ logger });
  await app.readiness.release();
  await app.close();
} catch (error) {
  exitWith(error as Error, logger);
}
