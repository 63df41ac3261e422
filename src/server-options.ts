import type { FastifyHttpOptions, RawServerDefault } from 'fastify';
import type { Config } from '../plugins/env/index.ts';
import { answerClientError } from '../plugins/errors/client-errors.ts';
import { MAX_PATH_PART, rewriteUrl } from '../plugins/errors/refuse-request.ts';
import { readRequestId } from '../plugins/request-id.ts';
import { trustProxies } from './client-address.ts';
import { RequestLog } from './request-log.ts';

/** A plugin that never calls back is named after this; loading one may take long on a busy machine. In milliseconds. */
export const PLUGIN_TIMEOUT_MS = 60_000;

/** Every option of Fastify and of its server that the environment or this template sets. */
export function serverOptions(config: Readonly<Config>): FastifyHttpOptions<RawServerDefault> {
  return {
    pluginTimeout: PLUGIN_TIMEOUT_MS,
    logController: new RequestLog(),
    // pino makes a child faster where it is given no options, not even empty ones.
    childLoggerFactory: (logger, bindings, options) =>
      logger.child(bindings, Object.keys(options).length > 0 ? options : undefined),
    genReqId: readRequestId,
    trustProxy: trustProxies(config.TRUST_PROXY),
    // Else a folder's own URL is two routes for each method, which cost time at the start, and memory.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PATH_PART },
    // The side that closes an idle connection first must be the router, or it sends a request into a closing one.
    keepAliveTimeout: config.KEEP_ALIVE_TIMEOUT_MS,
    // A client may take this long to send a request, headers and body; Fastify's default is for ever.
    requestTimeout: 60_000,
    http: {
      headersTimeout: 15_000,
      connectionsCheckingInterval: 5_000,
      // plugins/errors.ts refuses a request without a host in the shape of all errors, and one with two, joined here.
      requireHostHeader: false,
      joinDuplicateHeaders: true,
    },
    clientErrorHandler: answerClientError,
    rewriteUrl,
    // While the process drains, the requests that still come are served, not refused: see src/drain.ts.
    return503OnClosing: false,
  };
}
