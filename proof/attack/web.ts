import { openHttpListener } from '../../src/listener.ts';
import { startProcess } from '../../src/process.ts';

/** The web process with the template's routes and a large page. */
await startProcess(openHttpListener, {
  routes: [new URL('../../routes/', import.meta.url), new URL('./routes/', import.meta.url)],
});
