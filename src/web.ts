// A signal can come at any time, so the handlers are set before the app loads.
import './signals.ts';
import './source-maps.ts';

const { openHttpListener } = await import('./listener.ts');
const { startProcess } = await import('./process.ts');

await startProcess(openHttpListener);
