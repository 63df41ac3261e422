import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { get } from 'node:http';
import { fileURLToPath, pathToFileURL } from 'node:url';
import Fastify, { type FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { test } from 'tap';
import docs from '../../plugins/docs/index.ts';
import { buildAppWithRoutes, buildTestApp, createFolder, DOWN, writeFiles } from '../helper.ts';

interface Operation {
  summary?: string;
  responses: Record<string, { description: string; content?: Record<string, { schema: object }> }>;
}

interface OpenApi {
  openapi: string;
  servers: { url: string }[];
  paths: Record<string, Record<string, Operation>>;
}

async function readDocument(app: FastifyInstance): Promise<OpenApi> {
  const answer = await app.inject('/openapi.json');
  return answer.json();
}

/** A plugin, loaded first, that keeps the options of each route in `app.seen`. */
const RECORDER = `
  const recorder = async (app) => {
    const seen = [];
    app.decorate('seen', seen);
    app.addHook('onRoute', (route) => void seen.push(route));
  };
  recorder[Symbol.for('skip-override')] = true;
  export default recorder;
`;

interface SeenRoute {
  method: string | string[];
  url: string;
  schema?: { hide?: boolean; summary?: string; response?: Record<string, object> };
}

test('GET /openapi.json lists every route, with every answer', async (t) => {
  const folder = await createFolder(t);
  await writeFiles(folder, { 'recorder.js': RECORDER });
  const plugins = [pathToFileURL(`${folder}/`), new URL('../../plugins/', import.meta.url)];
  const app = await buildTestApp(t, { DATABASE_URL: DOWN }, { plugins });
  const { openapi, paths } = await readDocument(app);
  t.equal(openapi, '3.1.0');
  const { seen } = app as unknown as { seen: SeenRoute[] };
  const routes = seen
    .flatMap(({ method, ...route }) => [method].flat().map((method) => ({ ...route, method })))
    // An owner may add routes without a schema, such as a proxy.
    .filter(({ method, schema }) => method !== 'HEAD' && schema?.summary && !schema.hide);
  t.ok(routes.length > 0);
  for (const { method, url, schema } of routes) {
    const path = url.replaceAll(/:(\w+)/g, '{$1}');
    const { summary, responses = {} } = paths[path]?.[method.toLowerCase()] ?? {};
    t.equal(summary, schema?.summary, `${method} ${path}`);
    const described = Object.keys(schema?.response ?? {});
    // An owner may describe no answer, or only errors: then a 200 is added.
    const added = described.some((status) => /^([23]|default$)/.test(status)) ? [] : ['200'];
    t.strictSame(new Set(Object.keys(responses)), new Set([...added, ...described, '4XX', '5XX']));
    for (const kind of ['4XX', '5XX']) {
      const answer = responses[kind]?.content?.['application/json']?.schema;
      t.match(answer, { required: ['statusCode', 'code', 'error', 'message'] }, kind);
    }
  }
  const documented = Object.values(paths).flatMap((methods) => Object.values(methods));
  t.equal(documented.filter(({ summary }) => summary).length, routes.length, 'and no other');
});

/** Headers of a client or a router about the host. */
const HOSTS: Record<string, string>[] = [
  {},
  { host: 'evil.example' },
  { host: '[::1]:5000' },
  { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' },
  { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'javascript' },
  { 'x-forwarded-host': '"><script>alert(1)</script>' },
  { 'x-forwarded-prefix': '/evil', forwarded: 'host=evil.example;proto=javascript' },
  { origin: 'https://evil.example', referer: 'https://evil.example/', 'user-agent': 'evil' },
];

test('No document, page or link repeats the Host of a request', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  for (const url of ['/openapi.json', '/docs', '/docs/', '/', '/nowhere', '/docs/start.js']) {
    for (const accept of ['application/json', 'text/html']) {
      const { body: first } = await app.inject({ url, headers: { accept } });
      for (const headers of HOSTS) {
        const answer = await app.inject({ url, headers: { accept, ...headers } });
        t.equal(answer.body, first, url);
        t.notMatch(JSON.stringify(answer.headers), /evil|javascript:|<script/, url);
      }
    }
  }
});

test('The server in the document is relative to the document', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  const { servers } = await readDocument(app);
  for (const prefix of ['', '/api', '/a/b']) {
    const found = new URL(servers[0]!.url, `https://example.com${prefix}/openapi.json`);
    t.equal(found.href, `https://example.com${prefix}/`);
  }
});

test('GET /openapi.json answers after a failure, and has what plugins add', async (t) => {
  const { app } = await buildAppWithRoutes(
    t,
    `
      let times = 0;
      const schema = {
        get summary() {
          if (++times === 1) throw new Error('once');
          return 'Read';
        },
      };
      export default async (app) => {
        app.openapi.components.securitySchemes = { token: { type: 'http', scheme: 'bearer' } };
        app.get('/failing', { schema: { querystring: schema } }, async () => ({}));
        const shared = { $id: 'shared', type: 'object', properties: { size: { type: 'integer' } } };
        app.addSchema(shared);
        app.addSchema({ $id: 'https://a/b', type: 'integer' });
        const response = { 200: { $ref: 'shared#' }, 201: { $ref: 'https://a/b#' } };
        app.get('/shared', { schema: { response } }, async () => ({}));
      };
    `,
  );
  const answers = [await app.inject('/openapi.json'), await app.inject('/openapi.json')];
  t.strictSame(
    answers.map(({ statusCode }) => statusCode),
    [500, 200],
  );
  const { components, paths } = answers[1]!.json();
  t.match(components, { securitySchemes: { token: {} }, schemas: { shared: { type: 'object' } } });
  // Its name has its place among all shared schemas, also those of an owner's plugins.
  const schemas = Object.values<{ title?: string; type: string }>(components.schemas);
  t.equal(schemas.find(({ title }) => title === 'https://a/b')?.type, 'integer');
  t.ok(paths['/shared']);
});

test('GET /docs is a page that loads only files of the app', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  const page = await app.inject('/docs');
  t.equal(page.statusCode, 200);
  t.equal(page.headers['content-type'], 'text/html; charset=utf-8');
  const policy = String(page.headers['content-security-policy']).split(';');
  for (const directive of [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
  ]) {
    t.ok(policy.includes(directive), directive);
  }
  t.notMatch(page.headers['content-security-policy'], /unsafe|https?:|\*/);
  t.notMatch(
    page.body,
    /<script(?![^>]*\bsrc=)|<style|\bon\w+=|\sstyle=/,
    'nothing inline, because the policy forbids it',
  );
  const assets = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, asset]) => asset!);
  t.ok(assets.length >= 3);
  for (const asset of assets.filter((url) => !url.startsWith('data:'))) {
    const answer = await app.inject(new URL(asset, 'http://localhost/docs').pathname);
    t.equal(answer.statusCode, 200, asset);
    t.match(
      answer.headers['content-type'],
      asset.endsWith('.css') ? /^text\/css/ : /^text\/javascript/,
    );
  }
});

test('A slash at the end is redirected: relative links would not work there', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  for (const path of ['/docs', '/openapi.json']) {
    const { statusCode, headers } = await app.inject(`${path}/`);
    t.equal(statusCode, 308);
    t.equal(new URL(String(headers.location), `http://localhost${path}/`).pathname, path);
  }
});

test('GET /docs/ redirects in every form that a client can send', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }));
  const proxied = `http://${'x'.repeat(490)}/docs`;
  const statuses = { '/docs/#top': 308, '/docs#/': 200, [`${proxied}/`]: 308, [proxied]: 200 };
  for (const [path, status] of Object.entries(statuses)) {
    const [answer] = await once(get({ port, path, agent: false }), 'response');
    answer.resume();
    t.equal(answer.statusCode, status, path);
  }
});

test('The files of Swagger UI are served unchanged', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  for (const name of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
    const { rawPayload, headers } = await app.inject(`/docs/${name}`);
    const file = await readFile(fileURLToPath(import.meta.resolve(`swagger-ui-dist/${name}`)));
    t.ok(rawPayload.equals(file), name);
    t.match(headers['cache-control'], /max-age=\d+/);
  }
  t.equal((await app.inject('/docs/swagger-ui.js')).statusCode, 404);
  t.equal((await app.inject('/docs/..%2f..%2fpackage.json')).statusCode, 404);
});

test('GET /openapi.json names the protected routes and their scopes', async (t) => {
  const app = Fastify();
  t.teardown(() => app.close());
  app.decorate('authenticate', async () => undefined);
  for (const name of ['errors', 'validation']) app.register(fp(async () => undefined, { name }));
  await app.register(docs);
  app.get('/mine', { config: { auth: true } }, async () => 1);
  app.get('/write', { config: { auth: { scope: 'a b' } } }, async () => 1);
  app.get('/open', async () => 1);
  const config = {
    auth: true as const,
    swaggerTransform: ({ url }: { url: string }) => ({ schema: { summary: 'Own' }, url }),
  };
  for (const name of ['a', 'b']) app.get(`/own/${name}/:part?`, { config }, async () => 1);
  app.get('/plain', { config: { auth: true, swaggerTransform: false } }, async () => 1);
  const { components, paths } = (await app.inject('/openapi.json')).json();
  const bearer = { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' };
  t.match(components, { securitySchemes: { bearer } });
  t.strictSame(paths['/mine'].get.security, [{ bearer: [] }]);
  t.strictSame(paths['/write'].get.security, [{ bearer: ['a', 'b'] }]);
  t.equal(paths['/open'].get.security, undefined);
  t.strictSame(paths['/plain'].get.security, [{ bearer: [] }]);
  for (const name of ['a', 'b']) {
    const { summary, security, responses } = paths[`/own/${name}/{part}`].get;
    t.match({ summary, security }, { summary: 'Own', security: [{ bearer: [] }] });
    t.match(Object.keys(responses), ['200', '4XX', '5XX']);
  }
});
