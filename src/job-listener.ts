import type { FastifyInstance } from 'fastify';
import type { AppOptions } from './app.ts';
import { openHttpListener } from './listener.ts';
import { type Listener, startProcess } from './process.ts';

/** Settings of web that do not concern a worker: one process, no router, jobs in any case. */
const FIXED = { WEB_CONCURRENCY: '1', SHUTDOWN_DELAY_MS: '0', JOBS_IN_WEB: 'false' };

/** Runs the process type `worker`: it takes jobs; its port answers for its health alone. */
export function startWorker(options: Pick<AppOptions, 'jobs'> = {}): Promise<void> {
  const environment = { ...process.env, ...FIXED };
  return startProcess(openWorkerListener, { ...options, environment, only: '/health/' });
}

function openWorkerListener(app: FastifyInstance): Listener {
  const health = openHttpListener(app);
  return {
    ...health,
    async listen(address) {
      app.jobs.take();
      await health.listen(address).catch((error) => {
        if (error.code !== 'EADDRINUSE') throw error;
        app.log.warn(
          `Port ${address.port} is taken: the worker works on, and tells nobody its health`,
        );
      });
    },
    async close() {
      // Where jobs are given back it rejects: what is left of traces and pools is closed all the
      // same.
      await app.jobs.close().finally(() => health.close());
    },
    openRequests: () => app.jobs.list(),
  };
}
