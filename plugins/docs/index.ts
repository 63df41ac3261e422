import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { FastifyDynamicSwaggerOptions, SwaggerTransform } from '@fastify/swagger';
import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify';
import fp from 'fastify-plugin';
import manifest from '../../package.json' with { type: 'json' };
import { dropQuery } from '../../src/location.ts';
import { describeError } from '../errors/answer.ts';
import { ErrorAnswer } from '../errors/index.ts';
import { Definitions } from './definitions.ts';
import { readOnce } from './read-once.ts';

type Shared = { $id?: string; title?: string };

type OpenApi = NonNullable<FastifyDynamicSwaggerOptions['openapi']>;

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI document without the routes. Plugins may add to it before the first request. */
    openapi: OpenApi;
  }
}

const PAGE = readFileSync(new URL('page.html', import.meta.url), 'utf8');

const FILES = {
  'start.js': new URL('start.js', import.meta.url),
  'swagger-ui-bundle.js': new URL(import.meta.resolve('swagger-ui-dist/swagger-ui-bundle.js')),
  'swagger-ui.css': new URL(import.meta.resolve('swagger-ui-dist/swagger-ui.css')),
};

/** For this page only. It loads files of this app, and Swagger UI's icons from data URLs. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none';script-src 'self';style-src 'self';img-src 'self' data:;" +
  "connect-src 'self';base-uri 'none';form-action 'none';frame-ancestors 'none'";

const BEARER = { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } as const;

const HIDDEN = { schema: { hide: true }, onRequest: dropSlash };

/** Serves the API's page at /docs and its OpenAPI document at /openapi.json. */
export default fp(
  async (app) => {
    const { name: title, version, description } = manifest;
    const info = { title, version, description };
    // Relative to the document, so it works behind a path prefix, and no header can change it.
    const servers = [{ url: './' }];
    app.decorate('openapi', { openapi: '3.1.0', info, servers, components: {} });
    const definitions = new Definitions();
    const transform: SwaggerTransform = ({ schema, url, route: { config }, ...given }) => ({
      schema: {
        ...addErrors(definitions.convert(schema ?? {}, readDocument(given).components!.schemas)),
        ...describeSecurity(config?.auth),
      },
      // A path of OpenAPI has no optional parameter.
      url: url.replace(/\?$/, ''),
    });
    // A route's own transform, as for schemas of zod, would take the place of this one.
    app.addHook('onRoute', (route) => {
      const { swaggerTransform: own } = route.config ?? {};
      if (own === undefined) return;
      const both: SwaggerTransform = (given) =>
        transform(own ? { ...given, ...own(given) } : given);
      route.config = { ...route.config, swaggerTransform: both };
    });
    await app.register(swagger, {
      openapi: app.openapi,
      stripBasePath: false,
      refResolver: { buildLocalReference: nameSchema },
      transform,
      transformObject: (given) => complete(readDocument(given), definitions),
    });
    app.addHook('onReady', async () => {
      const { components = {} } = app.openapi;
      const schemes = components.securitySchemes;
      if (app.authenticate) components.securitySchemes = { ...schemes, bearer: BEARER };
    });
    app.get('/openapi.json', HIDDEN, async () => app.swagger());
    servePage(app);
  },
  { name: 'docs', dependencies: ['errors', 'validation'] },
);

/** Generated clients use the names of schemas. A shared schema has its $id, if it can be one. */
function nameSchema(schema: Shared, _uri: unknown, _part: unknown, index: number): string {
  const { $id = '' } = schema;
  if (/^[\w.-]+$/.test($id)) return $id;
  schema.title ??= $id;
  return `def-${index}`;
}

function complete(document: OpenApi, definitions: Definitions): OpenApi {
  // OpenAPI 3.1 does not know this method.
  for (const path of Object.values(document.paths!)) Reflect.deleteProperty(path!, 'query');
  definitions.complete(document.components!.schemas!);
  return document;
}

function readDocument(given: object): OpenApi {
  return (given as { openapiObject: OpenApi }).openapiObject;
}

function addErrors(schema: FastifySchema): FastifySchema {
  const ServerError = { ...ErrorAnswer, examples: [describeError(503)] };
  const known = Object.keys(schema.response ?? {});
  const isDescribed = known.some((status) => /^([23]|default$)/.test(status));
  const success = isDescribed ? {} : { 200: { description: 'A success' } };
  const errors = { '4xx': ErrorAnswer, '5xx': ServerError };
  return { ...schema, response: { ...success, ...errors, ...(schema.response as object) } };
}

function describeSecurity(auth?: boolean | { scope: string }): FastifySchema {
  if (!auth) return {};
  return { security: [{ bearer: auth === true ? [] : auth.scope.split(' ') }] };
}

/** Relative links do not work from a URL with a slash at its end, such as /docs/. */
async function dropSlash({ url }: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const path = dropQuery(url);
  if (path.endsWith('/')) return reply.redirect(`../${path.split('/').at(-2)}`, 308);
}

function servePage(app: FastifyInstance): void {
  app.get('/docs', HIDDEN, async (_request, reply) => {
    reply.headers(app.pageHeaders).header('content-security-policy', CONTENT_SECURITY_POLICY);
    return reply.type('text/html; charset=utf-8').send(PAGE);
  });
  for (const [name, file] of Object.entries(FILES)) {
    const type = name.endsWith('.css') ? 'text/css' : 'text/javascript';
    const read = readOnce(file);
    app.get(`/docs/${name}`, HIDDEN, async (_request, reply) => {
      reply.header('cache-control', 'public, max-age=86400');
      // A slow reader holds a piece, not the whole file.
      return reply.type(`${type}; charset=utf-8`).send(Readable.from(await read()));
    });
  }
}
