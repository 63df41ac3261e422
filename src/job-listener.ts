import type { AppOptions } from './app.ts';
import { HttpListener } from './listener.ts';
import { startProcess } from './process.ts';

/** Overrides settings of web: a worker is one process, has no router, and always takes jobs. */
const FIXED = { WEB_CONCURRENCY: '1', SHUTDOWN_DELAY_MS: '0', JOBS_IN_WEB: 'false' };

/** Runs the process type `worker`. It takes jobs, and its port answers only health checks. */
export function startWorker(options: Pick<AppOptions, 'jobs'> = {}): Promise<void> {
  const environment = { ...process.env, ...FIXED };
  const appOptions = { ...options, environment, only: '/health/' };
  return startProcess((app) => new WorkerListener(app), appOptions);
}

class WorkerListener extends HttpListener {
  override async listen(address: { host: string; port: number }): Promise<void> {
    await super.listen(address).catch((error) => {
      if (error.code !== 'EADDRINUSE') throw error;
      const { port } = address;
      this.app.log.warn(`Port ${port} is taken: the worker runs without health checks`);
    });
    // Not before: a process that cannot listen ends at once, and its jobs would lose an attempt.
    this.app.jobs.take();
  }

  /** Its health stays on the port while jobs end. Rejects if jobs are given back. */
  override async close(): Promise<void> {
    this.app.stop();
    await this.app.jobs.close().finally(() => super.close());
  }

  override openRequests(): object[] {
    return this.app.jobs.list();
  }
}
