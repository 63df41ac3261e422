import './signals.ts';
import './source-maps.ts';

const { startWorker } = await import('./job-listener.ts');

await startWorker();
