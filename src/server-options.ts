import type { FastifyHttpOptions, RawServerDefault } from 'fastify';
import type { Config } from '../plugins/env/index.ts';
import { answerClientError } from '../plugins/errors/client-errors.ts';
import { MAX_PATH_PART, rewriteUrl } from '../plugins/errors/refuse-request.ts';
import { readRequestId } from '../plugins/request-id.ts';
import { createHeaderReader, trustProxies } from './client-address.ts';
import { RequestLog } from './request-log.ts';

/** A plugin that is not loaded by then is named. A busy machine takes long. In milliseconds. */
export const PLUGIN_TIMEOUT_MS = 60_000;

/** Every option of Fastify and of its server that the environment or this template sets. */
export function serverOptions(config: Readonly<Config>): FastifyHttpOptions<RawServerDefault> {
  const readClientHeader = createHeaderReader(config);
  return {
    pluginTimeout: PLUGIN_TIMEOUT_MS,
    logController: new RequestLog(),
    genReqId: readRequestId,
    trustProxy: trustProxies(config.TRUST_PROXY),
    // Else a folder's own URL is two routes for each method, which cost time and memory.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PATH_PART },
    // The router must close an idle connection first, or it sends a request into a closing one.
    keepAliveTimeout: config.KEEP_ALIVE_TIMEOUT_MS,
    // How long a client may take to send a request with its body; Fastify's default is for ever.
    requestTimeout: 60_000,
    http: {
      headersTimeout: 15_000,
      connectionsCheckingInterval: 5_000,
      // plugins/errors/ refuses what has no host, or two of them (joined here), as all errors.
      requireHostHeader: false,
      joinDuplicateHeaders: true,
    },
    clientErrorHandler: answerClientError,
    // Fastify calls it before it makes the request.
    rewriteUrl: (request) => {
      readClientHeader(request);
      return rewriteUrl(request);
    },
    // While the process drains, requests that still come are served: see src/drain.ts.
    return503OnClosing: false,
  };
}
