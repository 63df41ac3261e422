// As in src/web.ts.
process.setSourceMapsEnabled(true);

const { buildApp } = await import('./app.ts');
const { createLogger } = await import('./log.ts');
const { exitWith } = await import('./process.ts');

const logger = createLogger();

try {
  const app = await buildApp({ logger });
  const applied = await app.readiness.release();
  logger.info({ applied }, applied.length > 0 ? `Applied ${applied.join(', ')}` : 'Nothing to apply');
  await app.close();
} catch (error) {
  exitWith(error as Error, logger);
}
