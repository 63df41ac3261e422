import { once } from 'node:events';

/*
 * Loaded into each process of the app by `npm run dev`, which starts the next one ahead of time.
 * The process loads the packages and waits here until the app is to start: that takes a third of
 * the time from a save to the new answer.
 */

/** What takes 10 ms or more to load, and the app always needs. One that was removed is left out. */
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

/** A stream that stays open must not keep the port. In milliseconds. */
const EXIT_AFTER_MS = 1_000;

// Workers of node:cluster have a channel of their own, to their primary.
if (!process.env.NODE_UNIQUE_ID) {
  process.once('disconnect', endWithParent);
  const told = once(process, 'message');
  await Promise.allSettled(PACKAGES.map((name) => import(name)));
  await told;
  // The channel alone must not keep the app running.
  process.channel?.unref();
}

/** When `npm run dev` is killed, the port and the embedded database's lock must become free. */
function endWithParent(): void {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.exit(1), EXIT_AFTER_MS).unref();
}
