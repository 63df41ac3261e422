import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Listener } from './process.ts';

/**
 * Stops serving so that no client notices, or ends the process with exit code 1 when that takes longer than
 * SHUTDOWN_TIMEOUT_MS.
 *
 * close-with-grace was tried: a second SIGTERM ends the process at once and cuts its open requests, and Dokku and
 * Heroku send more than one. Fastify's close() alone refuses what routers still send while they have not noticed.
 *
 * @param delayMs how long requests are still taken, in milliseconds
 */
export async function drain(
  app: FastifyInstance,
  listener: Listener,
  delayMs: number,
): Promise<void> {
  const startedAt = performance.now();
  const forceExit = () => {
    app.log.error(
      { requests: listener.openRequests() },
      'Still open at SHUTDOWN_TIMEOUT_MS: the process ends without them',
    );
    process.exit(1);
  };
  setTimeout(forceExit, app.config.SHUTDOWN_TIMEOUT_MS);
  app.log.info(
    { requests: listener.openRequests().length },
    'Draining: no new requests should come here',
  );
  app.readiness.draining = true;
  listener.announceClose();
  await sleep(delayMs);
  await listener.close();
  app.log.info({ durationMs: Math.round(performance.now() - startedAt) }, 'Drained');
}
