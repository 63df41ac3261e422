import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** Starts the built `web` of the folder in argv, with a route that queues a job. */
const dist = pathToFileURL(path.join(process.argv[2]!, 'dist/'));
const { openHttpListener }: typeof import('../../src/listener.ts') = await import(
  new URL('src/listener.js', dist).href
);
const { startProcess }: typeof import('../../src/process.ts') = await import(
  new URL('src/process.js', dist).href
);
await startProcess(openHttpListener, {
  routes: [new URL('routes/', dist), new URL('./routes/', import.meta.url)],
});
