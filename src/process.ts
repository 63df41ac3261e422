import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Config } from '../plugins/env/index.ts';
import { type AppOptions, buildApp, readConfig } from './app.ts';
import { bind } from './bind.ts';
import { countWorkers, Primary } from './cluster.ts';
import { drain } from './drain.ts';
import { createLogger } from './logger.ts';

// Stack traces of dist/ name the lines of the sources.
process.setSourceMapsEnabled(true);

/** How a process type answers on its port, in whatever protocol it speaks. */
export interface Listener {
  /** Takes connections from now on. */
  listen(address: { host: string; port: number }): Promise<unknown>;
  /** Serves on, and asks each client that gets an answer to come back on another connection. */
  announceClose(): void;
  /** Takes no connection any more, answers what is open, closes every connection and then the app. */
  close(): Promise<void>;
  /** What is still being answered, for the log. */
  openRequests(): object[];
}

/** A second Ctrl-C counts from here on, in milliseconds: `node --watch` passes on the one that the terminal sent too. */
const SECOND_INTERRUPT_MS = 100;

/**
 * Runs a process type: checks the environment, builds the app, binds PORT, drains when told to stop. Exit codes: 0
 * after a signal, 1 after an error, which is the last line of the log.
 */
export async function startProcess(
  openListener: (app: FastifyInstance) => Listener,
  options: Omit<AppOptions, 'config' | 'logger'> = {},
): Promise<void> {
  const logger = createLogger();
  try {
    const config = await readConfig(options.environment, options.plugins);
    const workers = countWorkers(config);
    if (workers > 1 && cluster.isPrimary) return void new Primary(workers, logger);
    const started = serve(openListener, { ...options, config, logger });
    stopOnSignals(started, logger);
    await started;
  } catch (error) {
    exitWith(error as Error, logger);
  }
}

async function serve(
  openListener: (app: FastifyInstance) => Listener,
  options: AppOptions & { config: Readonly<Config> },
) {
  const app = await buildApp(options);
  const listener = openListener(app);
  await bind(listener, options.config);
  return { app, listener };
}

/** A stop is asked for once, whoever asks: Heroku signals every process of a dyno, Dokku sends SIGTERM twice. */
function stopOnSignals(started: ReturnType<typeof serve>, logger: Logger): void {
  let stopping = false;
  const stop = async (delayed: boolean, exitCode: number) => {
    if (stopping) return;
    stopping = true;
    const { app, listener } = await started;
    await drain(app, listener, delayed ? app.config.SHUTDOWN_DELAY_MS : 0).catch((error) =>
      exitWith(error, logger),
    );
    if (cluster.worker) await returnConnections(cluster.worker);
    process.exit(exitCode);
  };
  let interruptedAt = Number.POSITIVE_INFINITY;
  process.on('SIGTERM', () => stop(true, 0));
  process.on('SIGINT', () => {
    if (performance.now() - interruptedAt > SECOND_INTERRUPT_MS) process.exit(130);
    interruptedAt = Math.min(interruptedAt, performance.now());
    stop(true, 0);
  });
  // What is in flight may still end; nothing new is taken by a process that is in a state nobody thought of.
  process.on('uncaughtException', (err) => {
    logger.fatal({ err }, 'Uncaught exception: the process stops');
    stop(false, 1);
  });
}

/**
 * The primary may have sent a connection before it heard that this worker takes none: it gets that back for another
 * worker, and answers only then. A worker that has just ended would leave the client waiting for ever.
 */
async function returnConnections(worker: Worker): Promise<void> {
  worker.disconnect();
  await once(worker, 'disconnect');
}

/** Ends the process with the error as its last line; an error whose message says it all comes without its stack. */
export function exitWith(error: Error, logger: Logger): never {
  if ('explained' in error) logger.fatal(error.message);
  else logger.fatal({ err: error }, error.message);
  process.exit(1);
}
