import type { FastifyInstance } from 'fastify';
import type { AppOptions } from './app.ts';
import { HttpListener } from './listener.ts';
import { startProcess } from './process.ts';

/** Settings of web that do not concern a worker: one process, no router, jobs in any case. */
const FIXED = { WEB_CONCURRENCY: '1', SHUTDOWN_DELAY_MS: '0', JOBS_IN_WEB: 'false' };

/** Runs the process type `worker`: it takes jobs; its port answers for its health alone. */
export function startWorker(options: Pick<AppOptions, 'jobs'> = {}): Promise<void> {
  const environment = { ...process.env, ...FIXED };
  const openListener = (app: FastifyInstance) => new WorkerListener(app);
  return startProcess(openListener, { ...options, environment, only: '/health/' });
}

class WorkerListener extends HttpListener {
  override async listen(address: { host: string; port: number }): Promise<void> {
    this.app.jobs.take();
    await super.listen(address).catch((error) => {
      if (error.code !== 'EADDRINUSE') throw error;
      const { port } = address;
      this.app.log.warn(`Port ${port} is taken: the worker works on, and tells nobody its health`);
    });
  }

  /** Rejects where jobs are given back; what is left of traces and pools is closed all the same. */
  override async close(): Promise<void> {
    await this.app.jobs.close().finally(() => super.close());
  }

  override openRequests(): object[] {
    return this.app.jobs.list();
  }
}
