import cluster from 'node:cluster';
import { once } from 'node:events';
import { pathToFileURL } from 'node:url';

/*
 * `npm run dev` creates the next process of the app in advance. That process loads the packages,
 * then waits for the message to start the file that its argument names. So a change is served after
 * 0.4 s instead of 1 s. With --import, threads and child processes of the app would wait too.
 */

/** What the app always needs and takes 10 ms or more to load. One may have been removed. */
const PACKAGES = [
  'fastify',
  '@fastify/env',
  '@fastify/swagger',
  'ajv-formats',
  'jose',
  'kysely',
  'pg',
  'pg-boss',
  'typebox',
  '@electric-sql/pglite',
];

/** When to exit in spite of open streams, which would keep the port, in milliseconds. */
const EXIT_AFTER_MS = 1_000;

// Not in workers of node:cluster: their channel is to their primary.
if (cluster.isPrimary) {
  process.once('disconnect', endWithParent);
  const startMessage = once(process, 'message');
  await Promise.allSettled(PACKAGES.map((name) => import(name)));
  await startMessage;
  // The channel alone must not keep the app running.
  process.channel?.unref();
}

await import(pathToFileURL(process.argv[2]!).href);

/** If `npm run dev` is killed, the port and the lock of the embedded database must be released. */
function endWithParent(): void {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.exit(1), EXIT_AFTER_MS).unref();
}
