import { createReadStream, existsSync } from 'node:fs';
import Fastify, { type FastifyRequest, type RouteOptions } from 'fastify';
import fp from 'fastify-plugin';
import manifest from '../package.json' with { type: 'json' };
import { readPath } from '../src/request-log.ts';
import { describeError, ErrorAnswer } from './errors/index.ts';

/** Swagger UI's own files, by the names that its page asks for; `npm run build` copies them to dist/swagger-ui. */
const ASSETS = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
} as const;

type Asset = keyof typeof ASSETS;

const START = `document.documentElement.classList.toggle('dark-mode', matchMedia('(prefers-color-scheme: dark)').matches);
SwaggerUIBundle({
  url: 'openapi.json', dom_id: '#api', deepLinking: true, tryItOutEnabled: true, displayRequestDuration: true,
});
`;

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${manifest.name} API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<script src="docs/swagger-ui-bundle.js" defer></script>
<script src="docs/start.js" defer></script>
</head>
<body><div id="api"></div></body>
</html>
`;

const ServerError = {
  ...ErrorAnswer,
  examples: [describeError(503, { message: '' })],
};

/** For this page only: scripts and styles of the app itself, and requests to it. Swagger UI draws icons from data URLs. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join(';');

/**
 * The API's page at /docs and its OpenAPI document at /openapi.json, from the routes' own schemas. What makes them is
 * loaded when somebody asks for the first time, so that the start costs nothing; @fastify/swagger-ui loads it then.
 */
export default fp(
  async (app) => {
    const routes: RouteOptions[] = [];
    app.addHook('onRoute', (route) => void routes.push({ ...route }));
    let document: Promise<object> | undefined;

    const options = { schema: { hide: true } };
    app.get('/openapi.json', options, async (request) => {
      document ??= describeRoutes(routes.filter(isDescribed));
      return { ...(await document), servers: [{ url: readOrigin(request) }] };
    });
    app.get('/docs', options, async (request, reply) => {
      // Seen from /docs/, the page's links would lead nowhere.
      if (readPath(request.url).endsWith('/')) return reply.redirect('../docs', 308);
      return reply
        .type('text/html; charset=utf-8')
        .header('content-security-policy', CONTENT_SECURITY_POLICY)
        .send(PAGE);
    });
    app.get('/docs/start.js', options, async (_request, reply) =>
      reply.type('text/javascript; charset=utf-8').send(START),
    );
    for (const name of Object.keys(ASSETS) as Asset[]) {
      app.get(`/docs/${name}`, options, async (_request, reply) =>
        reply
          .type(ASSETS[name])
          .header('cache-control', 'public, max-age=86400')
          .send(createReadStream(findAsset(name))),
      );
    }
  },
  { name: 'docs' },
);

/** Fastify adds HEAD to each GET, CORS its preflight. */
function isDescribed({ method }: RouteOptions): boolean {
  return method !== 'HEAD' && method !== 'OPTIONS';
}

/** @fastify/swagger sees the routes in an app of its own, made when the document is asked for. */
async function describeRoutes(routes: RouteOptions[]): Promise<object> {
  const { default: swagger } = await import('@fastify/swagger');
  const { name, version, description } = manifest;
  const app = Fastify();
  await app.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: name, version, description } },
  });
  for (const { method, url, schema, handler } of routes) {
    const response = { '4xx': ErrorAnswer, '5xx': ServerError, ...(schema?.response as object) };
    app.route({ method, url, schema: { ...schema, response }, handler });
  }
  await app.ready();
  return app.swagger();
}

/** Where the client reached this app, as the trusted proxy says. */
function readOrigin({ protocol, host }: FastifyRequest): string {
  return `${protocol}://${host}`;
}

function findAsset(name: Asset): URL {
  const places = ['../swagger-ui/', '../node_modules/swagger-ui-dist/'];
  return places
    .map((place) => new URL(place + name, import.meta.url))
    .find((url) => existsSync(url)) as URL;
}
