import type { Server } from 'node:http';
import type { FastifyHttpOptions, RawServerDefault } from 'fastify';
import type { Config } from '../plugins/env/index.ts';
import { answerClientError } from '../plugins/errors/client-errors.ts';
import { MAX_PATH_PART, rewriteUrl } from '../plugins/errors/refuse-request.ts';
import { readRequestId } from '../plugins/request-id.ts';
import { createAddressCopier, trustProxies } from './client-address.ts';
import type { OpenRequests } from './open-requests.ts';
import { PiecewiseResponse } from './piecewise-response.ts';
import { RequestLog } from './request-log.ts';

/** How long a plugin may take to load, in milliseconds. Long, because busy machines are slow. */
export const PLUGIN_TIMEOUT_MS = 60_000;

export function serverOptions(
  config: Readonly<Config>,
  openRequests: OpenRequests,
): FastifyHttpOptions<RawServerDefault> {
  const copyClientAddress = createAddressCopier(config);
  return {
    pluginTimeout: PLUGIN_TIMEOUT_MS,
    logController: new RequestLog({ requestIdLogLabel: 'requestId' }),
    genReqId: readRequestId,
    trustProxy: trustProxies(config.TRUST_PROXY),
    // Otherwise /notes and /notes/ would be two routes, which costs time and memory.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PATH_PART },
    // The router must close an idle connection first, or it may send a request on a closed one.
    keepAliveTimeout: config.KEEP_ALIVE_TIMEOUT_MS,
    // How long a client may take to send a request and its body. Fastify's default has no limit.
    requestTimeout: 60_000,
    http: {
      ServerResponse: PiecewiseResponse,
      headersTimeout: 15_000,
      connectionsCheckingInterval: 5_000,
      // plugins/errors/ refuses a request with no host, or with two hosts (joined here).
      requireHostHeader: false,
      joinDuplicateHeaders: true,
      shouldUpgradeCallback(this: Server, request) {
        return openRequests.acceptUpgrade(this, request);
      },
    },
    clientErrorHandler: answerClientError,
    // Fastify calls this before it creates the request: the last moment to set X-Forwarded-For.
    rewriteUrl: (request) => {
      copyClientAddress(request);
      return rewriteUrl(request);
    },
    // Requests that arrive during a drain are served: see src/drain.ts.
    return503OnClosing: false,
  };
}
