import { existsSync } from 'node:fs';
import createError from '@fastify/error';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';
import type { User } from './token.ts';

/** The issuer of `local:FOLDER`, for development only: it is not in dist/. */
const LOCAL_ISSUER = new URL('../../scripts/token.ts', import.meta.url);

// No braces: Entra writes {tenantid} into the URL of an issuer that no token has.
const HTTPS = '^https://[^/?#@]+(/[^?#{}]*)?$';
const LOOPBACK = '^http://(localhost|127(\\.\\d+){3}|\\[::1\\])(:\\d+)?(/[^?#{}]*)?$';

export const settings = Type.Object({
  AUTH_ISSUER_URL: Type.Optional(describeIssuer(existsSync(LOCAL_ISSUER))),
  AUTH_AUDIENCE: Type.Optional(
    Type.String({
      description: 'The name of this app, which a token must have in its claim aud',
      expected: 'the name of this app at the issuer; needed if AUTH_ISSUER_URL is set',
      remedy: 'Set AUTH_AUDIENCE=https://api.example.com, or the claim aud of a token',
    }),
  ),
});

export function describeIssuer(hasLocal: boolean) {
  return Type.String({
    format: 'uri',
    pattern: [HTTPS, LOOPBACK, ...(hasLocal ? ['^local:.'] : [])].join('|'),
    requires: 'AUTH_AUDIENCE',
    description:
      'The OpenID Connect issuer of bearer tokens, as in their claim iss; none when not set',
    expected:
      'the https:// URL of an OpenID Connect issuer (http:// only on loopback), ' +
      'without a user, a query or {braces}',
    remedy: hasLocal
      ? 'In development, local:.data/issuer needs no server'
      : 'Set it to the claim iss of a token; local: URLs do not work in the built app',
  });
}

declare module '../env/index.ts' {
  interface Config extends Static<typeof settings> {}
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The caller. Undefined where no token was checked: on routes without `auth` in the config. */
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

/** Checks the bearer tokens (RFC 6750) of routes with `config: { auth }`. Sets `request.user`. */
export default fp(
  async (app) => {
    const { AUTH_ISSUER_URL: url, AUTH_AUDIENCE: audience = '' } = app.config;
    const verify = url ? await attachIssuer(app, url, audience) : undefined;
    app.decorateRequest('user');
    // A hook would miss the answers of the rate limit.
    app.addHeaders((reply, { routeOptions }) => {
      if (routeOptions?.config.auth) reply.header('cache-control', 'no-store');
    });
    app.decorate('authenticate', async (request, reply) => {
      if (!verify) throw new NotAttached();
      request.user = await verify(readToken(request, reply)).catch((error) => {
        if (error.statusCode) throw error;
        // jose's messages have no part of a payload; the messages of their causes may.
        const { code: cause, message: reason, claim } = error;
        request.log.debug({ cause, reason, claim }, 'Bearer token refused');
        return challenge(reply, new InvalidToken(), ' error="invalid_token"');
      });
      request.logFields = { ...request.logFields, user: request.user.id };
    });
    // Apart from it, so that an app which replaces `authenticate` does not lose this.
    app.decorate('checkScopes', checkScopes);
  },
  { name: 'auth', dependencies: ['readiness', 'errors'] },
);

/** Gives the check of tokens. Its error has a `statusCode` only if the issuer cannot be reached. */
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

/** @returns the token. With two Authorization headers it is empty, and therefore not valid. */
function readToken({ headers, raw }: FastifyRequest, reply: FastifyReply): string {
  const names = raw.rawHeaders.filter((_, index) => index % 2 === 0);
  if (names.filter((name) => name.toLowerCase() === 'authorization').length > 1) return '';
  const [scheme = '', ...rest] = (headers.authorization ?? '').split(/ +/);
  if (scheme.toLowerCase() === 'bearer') return rest.join(' ');
  return challenge(reply, new Unauthenticated());
}

async function checkScopes({ user, routeOptions }: FastifyRequest, reply: FastifyReply) {
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
