import { openHttpListener } from '../../src/listener.ts';
import { startProcess } from '../../src/process.ts';

await startProcess(openHttpListener, {
  plugins: [new URL('../../plugins/', import.meta.url), new URL('plugins/', import.meta.url)],
});
