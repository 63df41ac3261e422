import { existsSync } from 'node:fs';
import createError from '@fastify/error';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';
import type { User } from './token.ts';

/** The issuer of `local:FOLDER`, for development: dist/ does not have it. */
const LOCAL_ISSUER = new URL('../../scripts/token.ts', import.meta.url);

/** What AUTH_ISSUER_URL may be: plain HTTP stays on this machine. */
const HTTPS = '^https://[^/?#@]+(/[^?#]*)?$';
const LOOPBACK = '^http://(localhost|127(\\.\\d+){3}|\\[::1\\])(:\\d+)?(/[^?#]*)?$';

export const settings = Type.Object({
  AUTH_ISSUER_URL: Type.Optional(describeIssuer(existsSync(LOCAL_ISSUER))),
  AUTH_AUDIENCE: Type.Optional(
    Type.String({
      description: 'Which tokens are for this app: one of those in their claim aud',
      expected: 'the name of this app at the issuer, where AUTH_ISSUER_URL is set',
      remedy: 'Set AUTH_AUDIENCE=https://api.example.com, or what the claim aud of a token has',
    }),
  ),
});

/** @param hasLocal whether `local:` URLs work, which the built app refuses */
export function describeIssuer(hasLocal: boolean) {
  return Type.String({
    format: 'uri',
    pattern: [HTTPS, LOOPBACK, ...(hasLocal ? ['^local:.'] : [])].join('|'),
    requires: 'AUTH_AUDIENCE',
    description: 'The OpenID Connect issuer of bearer tokens, as they name it; none when not set',
    expected: 'the https:// URL of an OpenID Connect issuer, without a query',
    remedy: hasLocal
      ? 'In development, local:.data/issuer needs no server'
      : 'The issuer of local: URLs is for development, the built app does not have it',
  });
}

declare module '../env/index.ts' {
  interface Config extends Static<typeof settings> {}
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is calling; undefined on a route whose config does not ask for it. */
    user: User;
  }
}

const Unauthenticated = createError('UNAUTHENTICATED', 'This needs a bearer token.', 401);
const InvalidToken = createError('INVALID_TOKEN', 'The bearer token is not valid.', 401);
const InsufficientScope = createError<[string]>(
  'INSUFFICIENT_SCOPE',
  'The bearer token does not have the scope %s.',
  403,
);
const NotAttached = createError('AUTH_NOT_ATTACHED', 'AUTH_ISSUER_URL is not set', 503);

/**
 * Who is calling, as `request.user`, by a bearer token (RFC 6750) of the issuer behind
 * AUTH_ISSUER_URL, on each route with `config: { auth: true }` or `{ auth: { scope: 'a b' } }`.
 */
export default fp(
  async (app) => {
    const { AUTH_ISSUER_URL: url, AUTH_AUDIENCE: audience = '' } = app.config;
    const verify = url ? await attachIssuer(app, url, audience) : undefined;
    app.decorateRequest('user');
    // Also of a route's answer that the rate limit gives.
    app.addHeaders((reply, { routeOptions }) => {
      if (routeOptions?.config.auth) reply.header('cache-control', 'no-store');
    });
    app.decorate('authenticate', async (request, reply) => {
      if (!verify) throw new NotAttached();
      request.user = await verify(readToken(request, reply)).catch((error) => {
        if (error.statusCode) throw error;
        const reason = { cause: error.code || error.message, claim: error.claim };
        request.log.debug(reason, 'Bearer token refused');
        return challenge(reply, new InvalidToken(), ' error="invalid_token"');
      });
      request.logFields = { ...request.logFields, user: request.user.id };
      checkScopes(request, reply);
    });
  },
  { name: 'auth', dependencies: ['readiness', 'errors'] },
);

/** @returns what checks a token; it rejects with an error that has a status code, or says why */
async function attachIssuer(app: FastifyInstance, url: string, audience: string) {
  const { Keys } = await import('./keys.ts');
  const { verifyToken } = await import('./token.ts');
  const { fetchKeys } = url.startsWith('local:')
    ? await import(LOCAL_ISSUER.href)
    : await import('./issuer.ts');
  const keys = new Keys(() => fetchKeys(url));
  app.readiness.attach({ name: 'auth', required: false, check: keys.check });
  return (token: string) => verifyToken(token, keys, { issuer: url, audience });
}

/** @returns the text after the scheme: empty, and no valid token, where there are more headers */
function readToken({ headers, raw }: FastifyRequest, reply: FastifyReply): string {
  const names = raw.rawHeaders.filter((_, index) => index % 2 === 0);
  if (names.filter((name) => name.toLowerCase() === 'authorization').length > 1) return '';
  const [scheme = '', ...rest] = (headers.authorization ?? '').split(/ +/);
  if (scheme.toLowerCase() === 'bearer') return rest.join(' ');
  return challenge(reply, new Unauthenticated());
}

function checkScopes({ user, routeOptions }: FastifyRequest, reply: FastifyReply): void {
  const { auth } = routeOptions.config;
  if (typeof auth !== 'object') return;
  if (auth.scope.split(' ').every((scope) => user.scopes.includes(scope))) return;
  const parameters = ` error="insufficient_scope", scope="${auth.scope}"`;
  challenge(reply, new InsufficientScope(auth.scope), parameters);
}

function challenge(reply: FastifyReply, error: Error, parameters = ''): never {
  reply.header('www-authenticate', `Bearer${parameters}`);
  throw error;
}
