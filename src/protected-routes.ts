import type { FastifyInstance, onRequestAsyncHookHandler, RouteOptions } from 'fastify';
import { OperatorError } from './operator-error.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether a route needs a bearer token, and which scopes, separated by spaces. */
    auth?: boolean | { scope: string };
  }

  interface FastifyInstance {
    /** Sets `request.user`, or refuses a request without a valid bearer token. */
    authenticate?: onRequestAsyncHookHandler;
    /** Refuses a request whose user lacks a scope of the route. plugins/auth adds both. */
    checkScopes?: onRequestAsyncHookHandler;
  }
}

/** Scopes in the form of RFC 6749, 3.3. */
const SCOPES = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/;

/** The returned function protects the routes from now on. Without plugins/auth, it throws. */
export function collectRoutes(app: FastifyInstance): () => void {
  const routes: RouteOptions[] = [];
  app.addHook('onRoute', (route) => void routes.push(route));
  return () => {
    for (const route of routes) if (isProtected(route)) protect(route, app);
  };
}

function isProtected({ method, url, config }: RouteOptions): boolean {
  const auth = config?.auth;
  if (auth === undefined || typeof auth === 'boolean') return auth === true;
  if (typeof auth?.scope === 'string' && SCOPES.test(auth.scope)) return true;
  throw new OperatorError(
    `${method} ${url}: config.auth must be true, false or an object as { scope: 'notes:write' }.`,
  );
}

function protect(route: RouteOptions, { authenticate, checkScopes }: FastifyInstance): void {
  const { method, url, onRequest = [] } = route;
  if (!authenticate)
    throw new OperatorError(
      `${method} ${url} needs a bearer token, but plugins/auth is missing. ` +
        "Put it back, or remove auth from the route's config: then the route is public.",
    );
  if (!checkScopes && typeof route.config?.auth === 'object')
    throw new OperatorError(`${method} ${url} needs a scope, but app.checkScopes is missing.`);
  // After the hooks of the app and the file, before the hooks in the route's own options.
  route.onRequest = [authenticate, checkScopes ?? [], onRequest].flat();
}
