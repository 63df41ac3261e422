// A signal can come at any time, so the handlers are set before the app loads.
import './signals.ts';
import './source-maps.ts';

const { startWorker } = await import('./job-listener.ts');

await startWorker();
