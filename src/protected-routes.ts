import type { FastifyInstance, onRequestAsyncHookHandler, RouteOptions } from 'fastify';
import { OperatorError } from './operator-error.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether a route asks for a bearer token, and the scopes that it must have, by spaces. */
    auth?: boolean | { scope: string };
  }

  interface FastifyInstance {
    /** Refuses a request whose bearer token does not do; plugins/auth makes it. */
    authenticate?: onRequestAsyncHookHandler;
  }
}

/** Scopes as RFC 6749, 3.3 has them. */
const SCOPES = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/;

/**
 * Collects the routes from now on. What it returns protects those that ask for a token, before any
 * hook of their own and after those of the app; it throws for a route that would be open.
 */
export function collectRoutes(app: FastifyInstance): () => void {
  const routes: RouteOptions[] = [];
  app.addHook('onRoute', (route) => void routes.push(route));
  return () => {
    for (const route of routes) if (isProtected(route)) protect(route, app.authenticate);
  };
}

function isProtected({ method, url, config }: RouteOptions): boolean {
  const auth = config?.auth;
  if (auth === undefined || typeof auth === 'boolean') return auth === true;
  if (typeof auth?.scope === 'string' && SCOPES.test(auth.scope)) return true;
  throw new OperatorError(`${method} ${url}: config.auth is true or { scope: 'notes:write' }.`);
}

function protect(route: RouteOptions, authenticate: FastifyInstance['authenticate']): void {
  const { method, url, onRequest = [] } = route;
  if (!authenticate)
    throw new OperatorError(
      `${method} ${url} asks who is calling, but plugins/auth is not there. ` +
        "Put it back, or remove auth from the route's config: then the route is open.",
    );
  route.onRequest = [authenticate, onRequest].flat();
}
