import type { Socket } from 'node:net';
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import env, { type Config, type EnvironmentOptions } from '../plugins/env/index.ts';
import { answerClientError } from '../plugins/errors/client-errors.ts';
import { RouteNotFound } from '../plugins/errors/index.ts';
import { LazyCompilers } from '../plugins/validation/compilers.ts';
import { watchDeadlines } from './deadlines.ts';
import { beginAnswers } from './every-answer.ts';
import { loadFolder } from './load-folder.ts';
import { createLogger } from './logger.ts';
import { OpenRequests } from './open-requests.ts';
import { collectRoutes } from './protected-routes.ts';
import { readPath } from './request-log.ts';
import { PLUGIN_TIMEOUT_MS, serverOptions } from './server-options.ts';

const PLUGINS = new URL('../plugins/', import.meta.url);
const ROUTES = new URL('../routes/', import.meta.url);
const JOBS = new URL('../jobs/', import.meta.url);

/** How long compiling waits after the port opens: it blocks requests. In milliseconds. */
const WARM_UP_MS = 100;

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when the port has closed, before preClose hooks: end streams and sockets then. */
    stopping: AbortSignal;
    /** Compiles the schemas of all routes, which else happens when a request first needs one. */
    compileSchemas(): Promise<void>;
  }
}

export interface AppOptions extends Omit<EnvironmentOptions, 'folders'> {
  logger?: FastifyBaseLogger;
  /** A validated environment, where the caller has one already. */
  config?: Readonly<Config>;
  /** Folders to load plugins from, each file declaring what it depends on. */
  plugins?: URL[];
  /** Folders to load routes from, each folder in them named like its URL. */
  routes?: URL[];
  /** Folders to load jobs from, each file in them named like its job. */
  jobs?: URL[];
  /** The one path that has routes below it, such as /health/; all of them by default. */
  only?: string;
}

/**
 * Builds the app as production runs it, with everything in plugins/ and routes/ loaded, and not
 * listening yet.
 *
 * @throws {EnvironmentError} with every problem of the environment
 */
export async function buildApp({
  environment = process.env,
  logger = createLogger(),
  plugins = [PLUGINS],
  routes = [ROUTES],
  jobs = [JOBS],
  only = '/',
  config,
}: AppOptions = {}): Promise<FastifyInstance> {
  config ??= await readConfig(environment, plugins, jobs);
  logger.level = config.LOG_LEVEL;
  const app = createApp(config, logger);
  const protectRoutes = collectRoutes(app);
  if (only !== '/') refuseOthers(app, only);
  for (const folder of plugins) await loadFolder(app, folder, { jobs });
  for (const folder of routes) await loadFolder(app, folder, {}, only);
  protectRoutes();
  await app.ready();
  return app;
}

/** What the app has before its plugins: these rely on it, and their hooks come after. */
function createApp(config: Readonly<Config>, loggerInstance: FastifyBaseLogger): FastifyInstance {
  const compilers = new LazyCompilers();
  const schemaController = { compilersFactory: compilers.factory };
  const app = Fastify({ ...serverOptions(config), schemaController, loggerInstance });
  app.decorate('config', config);
  app.decorate('compileSchemas', () => compilers.compilePending());
  app.addHook('onListen', async () => void setTimeout(() => warmUp(app), WARM_UP_MS).unref());
  beginAnswers(app);
  answerWhatNodeRefuses(app);
  app.decorate('openRequests', new OpenRequests());
  app.openRequests.watchHandlers(app);
  watchDeadlines(app);
  const stopping = new AbortController();
  app.decorate('stopping', stopping.signal);
  app.addHook('preClose', async () => stopping.abort());
  return app;
}

/** Node's own answer to an unknown `Expect` lacks the headers, and it gives none to a CONNECT. */
function answerWhatNodeRefuses(app: FastifyInstance): void {
  app.server.on('checkExpectation', app.routing);
  app.server.on('connect', (_request, socket) => answerClientError.call(app, {}, socket as Socket));
}

/** Tests and a release fail on a schema that cannot be compiled; here its route answers 500. */
async function warmUp(app: FastifyInstance): Promise<void> {
  await app.compileSchemas().catch((err) => app.log.error({ err }, err.message));
}

/** Plugins add routes too. The hooks that give every answer its headers run before this one. */
function refuseOthers(app: FastifyInstance, only: string): void {
  app.addHook('preHandler', async ({ method, url }) => {
    if (!url.startsWith(only)) throw new RouteNotFound(method, readPath(url));
  });
}

/** Validates the environment before there is an app: its options come from there. */
export async function readConfig(
  environment: NodeJS.ProcessEnv = process.env,
  plugins: URL[] = [PLUGINS],
  jobs: URL[] = [JOBS],
): Promise<Readonly<Config>> {
  // Fastify would load compilers of its own, which nobody asks.
  const schemaController = { compilersFactory: new LazyCompilers().factory };
  const app = Fastify({ pluginTimeout: PLUGIN_TIMEOUT_MS, schemaController });
  await app.register(env, { environment, folders: [...plugins, ...jobs] });
  return app.config;
}
