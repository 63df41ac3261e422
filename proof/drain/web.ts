// The types that it merges into Fastify's; the app loads it by its folder.
import type {} from '../../plugins/readiness.ts';
import { openHttpListener } from '../../src/listener.ts';
import { startProcess } from '../../src/process.ts';

/** The web process with the template's routes and those that take their time. */
await startProcess(openHttpListener, {
  routes: [new URL('../../routes/', import.meta.url), new URL('./routes/', import.meta.url)],
});
