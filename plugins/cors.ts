import cors from '@fastify/cors';
import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';

/** How long a browser may keep the answer to a preflight, in seconds: Chrome's most. */
const PREFLIGHT_AGE_S = 7_200;

export const settings = Type.Object({
  CORS_ORIGIN: Type.Optional(
    Type.String({
      pattern: '^(\\*|https?://[^/,\\s*@]+(\\s*,\\s*https?://[^/,\\s*@]+)*)$',
      description: 'The origins whose pages may call the API, or * for all; none where unset',
      expected: 'a comma list of origins such as https://example.com without a path, or * alone',
      remedy: 'Set CORS_ORIGIN=https://example.com, or leave it out',
    }),
  ),
});

type CorsSettings = Static<typeof settings>;

declare module './env/index.ts' {
  interface Config extends CorsSettings {}
}

/** Lets the pages of other origins call the API from a browser: nobody's unless CORS_ORIGIN names them. */
export default fp(
  async (app) => {
    const { CORS_ORIGIN } = app.config;
    if (!CORS_ORIGIN) return;
    await app.register(cors, {
      origin: CORS_ORIGIN === '*' ? '*' : CORS_ORIGIN.split(',').map((origin) => origin.trim()),
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      exposedHeaders: [
        'location',
        'retry-after',
        'www-authenticate',
        'x-request-id',
        'ratelimit-limit',
        'ratelimit-remaining',
        'ratelimit-reset',
      ],
      maxAge: PREFLIGHT_AGE_S,
      // An OPTIONS request that is no preflight is answered as one: the strict answer has no common shape.
      strictPreflight: false,
    });
  },
  { name: 'cors', dependencies: ['request-id'] },
);
