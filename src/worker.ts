// A signal can come at any moment: the handlers are there before the app is loaded.
import './signals.ts';
import './source-maps.ts';

const { startWorker } = await import('./job-listener.ts');

await startWorker();
