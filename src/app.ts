import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import env, { type Config, type EnvironmentOptions } from '../plugins/env/index.ts';
import { answerClientError } from '../plugins/errors/client-errors.ts';
import { RouteNotFound } from '../plugins/errors/index.ts';
import { LazyCompilers } from '../plugins/validation/compilers.ts';
import { readInOneBuffer } from '../plugins/validation/read-body.ts';
import { afterListening } from './after-listening.ts';
import { watchDeadlines } from './deadlines.ts';
import { prepareAnswers } from './every-answer.ts';
import { watchHandlers } from './failed-answers.ts';
import { lingerAtClose } from './lingering-close.ts';
import { loadFolder, loadPlugins } from './load-folder.ts';
import { createLogger } from './logger.ts';
import { OpenRequests } from './open-requests.ts';
import { collectRoutes } from './protected-routes.ts';
import { readPath } from './request-log.ts';
import { PLUGIN_TIMEOUT_MS, serverOptions } from './server-options.ts';
import { endSources } from './stream-sources.ts';

const PLUGINS = new URL('../plugins/', import.meta.url);
const ROUTES = new URL('../routes/', import.meta.url);
const JOBS = new URL('../jobs/', import.meta.url);

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when `web` has closed its port, or `worker` begins to stop. End streams then. */
    stopping: AbortSignal;
    /** Aborts `stopping`. The app does this itself when it closes. */
    stop(): void;
    /** Compiles all route schemas now, not at a route's first request or after the port opens. */
    compileSchemas(): Promise<void>;
  }
}

export interface AppOptions extends Omit<EnvironmentOptions, 'folders'> {
  logger?: FastifyBaseLogger;
  config?: Readonly<Config>;
  /** Folders to load from, instead of plugins/, routes/ and jobs/. */
  plugins?: URL[];
  routes?: URL[];
  jobs?: URL[];
  /** Serve only the routes below this path, such as /health/. The default is all routes. */
  only?: string;
}

/** Builds the whole app, not listening yet. Throws an EnvironmentError with every problem. */
export async function buildApp({
  environment,
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
  if (only !== '/') refuseOtherPaths(app, only);
  await loadPlugins(app, plugins, jobs);
  const which = (name: string) => name.startsWith(only);
  const options = { which, autoHooks: true, cascadeHooks: true };
  for (const folder of routes) await loadFolder(app, folder, options);
  // The last onClose hook runs first: a running job needs what the other hooks close.
  app.addHook('onClose', () => Reflect.get(app, 'jobs')?.close());
  protectRoutes();
  await app.ready();
  return app;
}

/** Sets up what the plugins rely on. The hooks added here run before theirs. */
function createApp(config: Readonly<Config>, loggerInstance: FastifyBaseLogger): FastifyInstance {
  const compilers = new LazyCompilers();
  const openRequests = new OpenRequests();
  const options = serverOptions(config, openRequests);
  const app = Fastify({ ...options, schemaController: compilers, loggerInstance });
  app.decorate('config', config);
  app.decorate('openRequests', openRequests);
  // readConfig has run plugins/env in another app. Here, plugins can name it as a dependency.
  app.register(fp(async () => undefined, { name: 'env' }));
  app.decorate('compileSchemas', () => compilers.compilePending());
  // An invalid schema makes tests and the release fail. Here, only its route answers 500.
  const warmUp = () => app.compileSchemas().catch((err) => app.log.error({ err }, err.message));
  afterListening(app, warmUp);
  prepareAnswers(app);
  readInOneBuffer(app);
  watchServer(app);
  watchHandlers(app);
  watchDeadlines(app);
  endSources(app);
  const stopping = new AbortController();
  app.decorate('stopping', stopping.signal);
  app.decorate('stop', () => stopping.abort());
  app.addHook('preClose', async () => app.stop());
  return app;
}

function watchServer(app: FastifyInstance): void {
  // As in Apache httpd. Small header fields take ten times their bytes.
  app.server.maxHeadersCount = 100;
  app.server.on('connection', (socket) => {
    // Node keeps an address that was read. After a reset, it cannot read the address.
    if (!socket.remoteAddress) socket.destroy();
    lingerAtClose(socket);
  });
  // Node answers an unknown `Expect` without our headers, and a CONNECT not at all.
  app.server.on('checkExpectation', app.routing);
  app.server.on('connect', ({ socket }) => {
    app.openRequests.takeOver(socket);
    answerClientError.call(app, {}, socket);
    // Node has forgotten this connection, so the drain could not close it.
    socket.once('finish', () => socket.destroy());
  });
}

/** Answers 404 on other paths, also on those of plugins, after the hooks that set headers. */
function refuseOtherPaths(app: FastifyInstance, only: string): void {
  app.addHook('preHandler', async ({ method, url, routeOptions }) => {
    // A route's URL has no host and no percent-encoding. Its last slash is optional.
    const path = routeOptions.url ?? readPath(url);
    if (!`${path}/`.startsWith(only)) throw new RouteNotFound(method, readPath(url));
  });
}

/** Validates the environment. This comes before the app, whose options depend on it. */
export async function readConfig(
  environment = process.env,
  plugins: URL[] = [PLUGINS],
  jobs: URL[] = [JOBS],
): Promise<Readonly<Config>> {
  // Otherwise Fastify loads its own compilers, which are never used here.
  const schemaController = new LazyCompilers();
  const app = Fastify({ pluginTimeout: PLUGIN_TIMEOUT_MS, schemaController });
  await app.register(env, { environment, folders: [...plugins, ...jobs] });
  return app.config;
}
