import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { type AppOptions, buildApp, readConfig } from './app.ts';
import { bind } from './bind.ts';
import { CRASHED, Primary } from './cluster.ts';
import { Drain } from './drain.ts';
import { toError } from './error-log.ts';
import { exitWith } from './exit-with.ts';
import { beat } from './heartbeat.ts';
import { createLogger } from './logger.ts';
import { onStop } from './signals.ts';

export interface Listener {
  listen(address: { host: string; port: number }): Promise<unknown>;
  /** Continues to serve, but each answer tells the client to open a new connection next time. */
  announceClose(): void;
  /** Closes the port, answers the open requests, then closes all connections and the app. */
  close(): Promise<void>;
  openRequests(): object[];
}

type OpenListener = (app: FastifyInstance) => Listener;

/** Runs after an uncaught exception. Before the process serves, it exits at once. */
let crash = (): void => process.exit(1);

/** Serves PORT until a signal (exit code 0) or an error (1), which is the last line of the log. */
export async function startProcess(
  openListener: OpenListener,
  options: Omit<AppOptions, 'config' | 'logger'> = {},
): Promise<void> {
  const logger = createLogger();
  process.on('uncaughtException', (thrown) => {
    logger.fatal({ err: toError(thrown) }, 'Uncaught exception: the process stops');
    crash();
  });
  try {
    const config = await readConfig(options.environment, options.plugins, options.jobs);
    logger.level = config.LOG_LEVEL;
    // More processes than processors would not be faster.
    const workers = Math.min(config.WEB_CONCURRENCY, availableParallelism());
    if (workers > 1 && cluster.isPrimary) new Primary(logger, config).start(workers);
    else await serve(openListener, await buildApp({ ...options, config, logger }));
  } catch (error) {
    exitWith(error, logger);
  }
}

async function serve(openListener: OpenListener, app: FastifyInstance): Promise<void> {
  const listener = openListener(app);
  const bound = bind(listener, app.config.HOST, app.config.PORT);
  const drain = new Drain(app, listener);
  onStop(() => void bound.then(() => drain.stop()));
  await bound;
  crash = () => {
    // It fails if the worker has already left the cluster. Without a callback, it would throw.
    cluster.worker?.send(CRASHED, () => undefined);
    drain.crash();
  };
  beat();
}
