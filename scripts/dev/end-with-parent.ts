/*
 * Loaded into the app by `npm run dev`. When that process is killed, its channel closes: the app
 * stops, so that the port and the embedded database's lock are free for the next start.
 */

/** A stream that stays open must not keep the port. In milliseconds. */
const EXIT_AFTER_MS = 1_000;

// Workers of node:cluster have a channel of their own, to their primary.
if (!process.env.NODE_UNIQUE_ID) {
  process.once('disconnect', () => {
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.exit(1), EXIT_AFTER_MS).unref();
  });
  // The channel alone must not keep the app running.
  process.channel?.unref();
}
