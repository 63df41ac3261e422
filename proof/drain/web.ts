// Imports types merged into Fastify's. The app loads the plugin from its folder.
import type {} from '../../plugins/readiness.ts';
import { openHttpListener } from '../../src/listener.ts';
import { startProcess } from '../../src/process.ts';

/** The web process with the template's routes and slow ones. */
await startProcess(openHttpListener, {
  routes: [new URL('../../routes/', import.meta.url), new URL('./routes/', import.meta.url)],
});
