import './signals.ts';
import './source-maps.ts';

const { openHttpListener } = await import('./listener.ts');
const { startProcess } = await import('./process.ts');

await startProcess(openHttpListener);
