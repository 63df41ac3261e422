import { readFile } from 'node:fs/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import {
  buildTestApp,
  createFolder,
  DOWN,
  NODE,
  poll,
  startProcess,
  writeFiles,
} from '../helper.ts';

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

/** Says of every module of the process that it is loaded. */
const WATCH = `data:text/javascript,
  import { registerHooks } from 'node:module';
  registerHooks({
    load(url, context, load) {
      console.log(JSON.stringify({ msg: 'loaded ' + url }));
      return load(url, context);
    },
  });
`;

test('Nothing that describes the API is loaded before somebody asks', async (t) => {
  const node = [NODE, '--import', WATCH];
  const web = await startProcess(t, { entry: 'web', environment: { DATABASE_URL: DOWN }, node });
  const isLoaded = () => web.lines.some(({ msg }) => msg.includes('/@fastify/swagger'));
  await fetch(`${web.url}/docs`);
  await poll(() => web.lines.some(({ path }) => path === '/docs'));
  t.notOk(isLoaded());
  await fetch(`${web.url}/openapi.json`);
  await poll(isLoaded);
});

/** Keeps what each route was registered with, in `app.seen`: a plugin in a folder of its own, loaded before the others. */
const RECORDER = `
  const recorder = async (app) => {
    const seen = [];
    app.decorate('seen', seen);
    app.addHook('onRoute', ({ method, url, schema }) => void seen.push({ method, url, schema }));
  };
  recorder[Symbol.for('skip-override')] = true;
  export default recorder;
`;

interface SeenRoute {
  method: string;
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
  const routes = seen.filter(({ method, schema }) => method !== 'HEAD' && !schema?.hide);
  t.ok(routes.length > 0);
  for (const { method, url, schema } of routes) {
    const path = url.replaceAll(/:(\w+)/g, '{$1}');
    const { summary, responses = {} } = paths[path]?.[method.toLowerCase()] ?? {};
    t.equal(summary, schema?.summary, `${method} ${path}`);
    t.strictSame(Object.keys(responses), [...Object.keys(schema?.response ?? {}), '4XX', '5XX']);
    for (const kind of ['4XX', '5XX']) {
      const answer = responses[kind]?.content?.['application/json']?.schema;
      t.match(answer, { required: ['statusCode', 'code', 'error', 'message'] }, kind);
    }
  }
  const documented = Object.values(paths).flatMap((methods) => Object.keys(methods));
  t.equal(documented.length, routes.length, 'and no other');
});

test('The server in the document is the host that a trusted proxy was asked for', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  const ask = async (remoteAddress: string, headers: Record<string, string>) => {
    const answer = await app.inject({ url: '/openapi.json', remoteAddress, headers });
    return (answer.json() as OpenApi).servers;
  };
  const forwarded = {
    host: 'app.internal:5000',
    'x-forwarded-host': 'api.example.com',
    'x-forwarded-proto': 'https',
  };
  t.strictSame(await ask('10.1.2.3', forwarded), [{ url: 'https://api.example.com' }]);
  t.strictSame(
    await ask('203.0.113.7', forwarded),
    [{ url: 'http://app.internal:5000' }],
    'and no client says so',
  );
  t.strictSame(await ask('10.1.2.3', { host: '[::1]:5000' }), [{ url: 'http://[::1]:5000' }]);
});

test('GET /docs is a page that loads only what the app itself serves', async (t) => {
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
    'nothing inline, which the policy forbids',
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

test('GET /docs/ leads to /docs, from where the links of the page lead', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  const { statusCode, headers } = await app.inject('/docs/');
  t.equal(statusCode, 308);
  t.equal(new URL(String(headers.location), 'http://localhost/docs/').pathname, '/docs');
});

test('The files of Swagger UI are as its package has them', async (t) => {
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

test('What is built has files of its own, where Swagger UI is not installed', async (t) => {
  const { url } = await startProcess(t, { entry: 'web', environment: { DATABASE_URL: DOWN } });
  for (const name of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
    const answer = await fetch(`${url}/docs/${name}`);
    t.equal(answer.status, 200);
    const built = await readFile(new URL(`../../dist/swagger-ui/${name}`, import.meta.url));
    t.ok(built.equals(Buffer.from(await answer.arrayBuffer())), name);
  }
});
