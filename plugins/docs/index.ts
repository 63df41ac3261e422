import { createReadStream, readFileSync } from 'node:fs';
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifyContextConfig, FastifyInstance, FastifySchema } from 'fastify';
import fp from 'fastify-plugin';
import manifest from '../../package.json' with { type: 'json' };
import { readPath } from '../../src/request-log.ts';
import { describeError, ErrorAnswer } from '../errors/index.ts';

type OpenApi = NonNullable<FastifyDynamicSwaggerOptions['openapi']>;

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI document beside the routes; a plugin adds to it before the first request. */
    openapi: OpenApi;
  }
}

const PAGE = readFileSync(new URL('page.html', import.meta.url), 'utf8');

/** What the page loads: its own script, and the files of Swagger UI. */
const FILES = {
  'start.js': new URL('start.js', import.meta.url),
  'swagger-ui-bundle.js': new URL(import.meta.resolve('swagger-ui-dist/swagger-ui-bundle.js')),
  'swagger-ui.css': new URL(import.meta.resolve('swagger-ui-dist/swagger-ui.css')),
};

/** For the page alone: it loads what the app serves, and Swagger UI's icons from data URLs. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none';script-src 'self';style-src 'self';img-src 'self' data:;" +
  "connect-src 'self';base-uri 'none';form-action 'none';frame-ancestors 'none'";

/** The page's "Authorize" asks for a token because of it. */
const BEARER = { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } as const;

const HIDDEN = { schema: { hide: true } };

/** The API's page at /docs, its OpenAPI document at /openapi.json, from the routes' schemas. */
export default fp(
  async (app) => {
    const { name: title, version, description } = manifest;
    const info = { title, version, description };
    // Relative to the document: right behind every prefix, and no header can change it.
    const servers = [{ url: './' }];
    app.decorate('openapi', { openapi: '3.1.0', info, servers, components: {} });
    await app.register(swagger, {
      openapi: app.openapi,
      stripBasePath: false,
      transform: ({ schema, url, route: { config } }) => ({
        schema: { ...addErrors(schema), ...describeDemand(config) },
        url,
      }),
    });
    app.addHook('onReady', async () => {
      const { components = {} } = app.openapi;
      const schemes = components.securitySchemes;
      if (app.authenticate) components.securitySchemes = { ...schemes, bearer: BEARER };
    });
    app.get('/openapi.json', HIDDEN, async () => app.swagger());
    servePage(app);
  },
  { name: 'docs' },
);

/** Every route may answer the errors that all have in common. */
function addErrors(schema: FastifySchema): FastifySchema {
  const ServerError = { ...ErrorAnswer, examples: [describeError(503)] };
  const response = { '4xx': ErrorAnswer, '5xx': ServerError, ...(schema?.response as object) };
  return { ...schema, response };
}

/** A route that asks who is calling needs a token, with these scopes. */
function describeDemand({ auth }: FastifyContextConfig = {}): FastifySchema {
  if (!auth) return {};
  return { security: [{ bearer: auth === true ? [] : auth.scope.split(' ') }] };
}

function servePage(app: FastifyInstance): void {
  app.get('/docs', HIDDEN, async (request, reply) => {
    // Seen from /docs/, the page's links would lead nowhere.
    if (readPath(request.url).endsWith('/')) return reply.redirect('../docs', 308);
    reply.headers(app.pageHeaders).header('content-security-policy', CONTENT_SECURITY_POLICY);
    return reply.type('text/html; charset=utf-8').send(PAGE);
  });
  for (const [name, file] of Object.entries(FILES)) {
    const type = name.endsWith('.css') ? 'text/css' : 'text/javascript';
    app.get(`/docs/${name}`, HIDDEN, async (_request, reply) => {
      reply.header('cache-control', 'public, max-age=86400');
      return reply.type(`${type}; charset=utf-8`).send(createReadStream(file));
    });
  }
}
