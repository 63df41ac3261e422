import { existsSync } from 'node:fs';
import path from 'node:path';
import createError from '@fastify/error';
import rateLimit, { type RateLimitPluginOptions } from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';
import manifest from '../package.json' with { type: 'json' };
import { readAddress } from '../src/client-address.ts';

export const settings = Type.Object({
  RATE_LIMIT_MAX: Type.Integer({
    minimum: 0,
    maximum: 1_000_000_000,
    default: 600,
    description: 'The most requests of one client a minute; 0 for no limit',
    expected: 'an integer of at least 0',
    remedy: 'Set RATE_LIMIT_MAX=600, or 0 for no limit',
  }),
});

/** plugins/redis.ts comes first where it is there: an app can do without it. */
const DEPENDENCIES = ['redis'].filter((name) =>
  existsSync(new URL(name + path.extname(import.meta.url), import.meta.url)),
);

const TooManyRequests = createError<[string]>(
  'TOO_MANY_REQUESTS',
  'Rate limit exceeded, retry in %s.',
  429,
);

type RateLimitSettings = Static<typeof settings>;

declare module './env/index.ts' {
  interface Config extends RateLimitSettings {}
}

/**
 * Limits how often a client may ask: one limit over all processes where Redis is attached, else one in each process.
 * While Redis is away, nobody is limited. A route is left out by `config: { rateLimit: false }`.
 */
export default fp(
  async (app) => {
    const max = app.config.RATE_LIMIT_MAX;
    if (max === 0) return;
    const redis: RateLimitPluginOptions['redis'] = Reflect.get(app, 'redis');
    if (!redis)
      app.log.info('No Redis is attached: each process counts for the rate limit by itself');
    await app.register(rateLimit, {
      // Counting is done below, for unknown routes too.
      global: false,
      max,
      timeWindow: 60_000,
      redis,
      nameSpace: `${manifest.name}:rate-limit:`,
      skipOnError: true,
      enableDraftSpec: true,
      keyGenerator: readClient,
      errorResponseBuilder: (_request, { after }) => new TooManyRequests(after),
      allowList: ({ routeOptions }) => routeOptions.config.rateLimit === false,
    });
    app.addHook('onRequest', app.rateLimit());
  },
  { name: 'rate-limit', dependencies: DEPENDENCIES },
);

/** The client's address; of an IPv6 address the /64, for that is what a customer of a provider has. */
function readClient(request: FastifyRequest): string {
  return rateLimit.normalizeIP(readAddress(request));
}
