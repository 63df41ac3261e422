import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { type Test, test } from 'tap';
import { buildApp, readConfig } from '../../src/app.ts';
import { buildAppWithRoutes, buildTestApp, createFolder, REQUIRED, writeFiles } from '../helper.ts';

const environment = { ...REQUIRED, LOG_LEVEL: 'silent' };

const ROUTE = "export default async (app) => app.get('/', async () => ({ here: true }));";

/** A plugin as fastify-plugin makes it, without that package, which the folder does not have. */
const plugin = (name: string, dependencies: string[], body: string) => `
  const plugin = async (app) => { ${body} };
  plugin[Symbol.for('skip-override')] = true;
  plugin[Symbol.for('plugin-meta')] = ${JSON.stringify({ name, dependencies })};
  export default plugin;
`;

async function createSources(t: Test, files: Record<string, string>): Promise<URL> {
  const folder = await createFolder(t);
  await writeFiles(folder, files);
  return pathToFileURL(`${folder}/`);
}

test('A folder in routes/ is a part of the URL', async (t) => {
  const folder = await createSources(t, {
    'cats/index.js': ROUTE,
    'cats/kittens/index.js': ROUTE,
    'env/index.js': ROUTE,
    'dogs/:name/index.js': "export default async (app) => app.get('/', async (r) => r.params);",
  });
  const app = await buildTestApp(t, environment, { routes: [folder] });
  t.strictSame((await app.inject('/cats')).json(), { here: true });
  t.strictSame((await app.inject('/cats/kittens')).json(), { here: true });
  t.strictSame((await app.inject('/env')).json(), { here: true });
  t.strictSame((await app.inject('/dogs/rex')).json(), { name: 'rex' });
});

test('The hooks of _autohooks in routes/ run for its folder and those below it', async (t) => {
  const hook = (name: string) => `export default async (app) => {
    app.addHook('onRequest', async (_request, reply) => void reply.header('x-hook', '${name}'));
  };`;
  const folder = await createSources(t, {
    '_autohooks.js': hook('root'),
    'cats/_autohooks.js': hook('cats'),
    'cats/index.js': ROUTE,
    'cats/:id/index.js': ROUTE,
    'dogs/index.js': ROUTE,
  });
  const app = await buildTestApp(t, environment, { routes: [folder] });
  const readHook = async (url: string) => (await app.inject(url)).headers['x-hook'];
  t.equal(await readHook('/cats'), 'cats');
  t.equal(await readHook('/cats/7'), 'cats');
  t.equal(await readHook('/dogs'), 'root');
  const wrong = await createSources(t, { '_autohooks.js': 'export const a = 1;', 'a.js': ROUTE });
  await t.rejects(buildApp({ environment, routes: [wrong] }), /_autohooks has no default export/);
});

test('The name of a file in plugins/ or routes/ may have every character', async (t) => {
  const plugins = [
    new URL('../../plugins/', import.meta.url),
    await createSources(t, {
      'c#.js': plugin('sharp', [], "app.decorate('sharp', 1)"),
      'a:b?.js': plugin('mark', ['sharp'], "app.decorate('mark', app.sharp + 1)"),
      '50% of\t%25/index.js': plugin('share', ['mark'], "app.decorate('share', app.mark + 1)"),
    }),
  ];
  const routes = [
    await createSources(t, {
      'c#?.js': ROUTE.replace('/', '/sharp'),
      '100%/index.js': ROUTE,
      'a b/index.js': ROUTE,
    }),
  ];
  const app = await buildTestApp(t, environment, { plugins, routes });
  t.equal((app as unknown as { share: number }).share, 3);
  for (const url of ['/sharp', '/100%25', '/a%20b'])
    t.strictSame((await app.inject(url)).json(), { here: true }, url);
});

test('A folder in routes/ that no URL can name fails and is named', async (t) => {
  for (const name of ['c#', 'what?']) {
    const routes = [await createSources(t, { [`${name}/index.js`]: ROUTE })];
    const refused = await buildApp({ environment, routes }).catch(({ message }) => message);
    t.match(refused, `${name}/index.js has no URL: rename its folder`);
  }
});

test('A slash at the end of a URL is ignored', async (t) => {
  const folder = await createSources(t, { 'cats/index.js': ROUTE });
  const app = await buildTestApp(t, environment, { routes: [folder] });
  for (const url of ['/cats', '/cats/']) {
    t.equal((await app.inject(url)).statusCode, 200, url);
    const { statusCode, headers } = await app.inject({ method: 'PUT', url });
    t.equal(statusCode, 405, url);
    t.equal(headers.allow, 'GET, HEAD', url);
  }
});

test('A file in routes/ without a default export fails and is named', async (t) => {
  const named = await createSources(t, {
    'cats/index.js': "export const cats = async (app) => app.get('/', () => 1);",
  });
  await t.rejects(
    buildApp({ environment, routes: [named] }),
    /cats\/index\.js exports no plugin: add an "export default"/,
  );
  const wrong = await createSources(t, { 'cats/index.js': 'export default { prefix: 1 };' });
  await t.rejects(buildApp({ environment, routes: [wrong] }), /cats\/index\.js exports no plugin/);
});

test('A file in plugins/ without a default export fails and is named', async (t) => {
  const plugins = [
    new URL('../../plugins/', import.meta.url),
    await createSources(t, { 'cats.js': 'export const a = 1;' }),
  ];
  await t.rejects(
    buildApp({ environment, plugins }),
    /cats\.js exports no plugin: add an "export default"/,
  );
});

test('A plugin that calls app.ready() is told what to do instead', async (t) => {
  const plugins = [
    new URL('../../plugins/', import.meta.url),
    await createSources(t, { 'cats.js': 'export default async (app) => void app.ready();' }),
  ];
  await t.rejects(buildApp({ environment, plugins }), /calls app\.ready\(\).* 'onReady' hook/);
});

test('Plugins that depend on each other are told so', async (t) => {
  const plugins = [
    new URL('../../plugins/', import.meta.url),
    await createSources(t, { 'a.js': plugin('a', ['b'], ''), 'b.js': plugin('b', ['a'], '') }),
  ];
  await t.rejects(buildApp({ environment, plugins }), /Plugins need each other.* 'dependencies'/);
});

test('Of a folder in plugins/ or jobs/ its index file alone is loaded', async (t) => {
  const ours = new URL('../../plugins/', import.meta.url);
  const broken = "throw new Error('loaded');";
  const files = { 'stripe.js': broken, 'banks/index.js': broken, 'public/app.js': broken };
  const payments = Object.entries(files).map(([name, code]) => [`payments/${name}`, code]);
  const index = { 'payments/index.js': plugin('payments', [], "app.decorate('paid', 1)") };
  const whole = await createSources(t, { ...index, ...Object.fromEntries(payments) });
  const app = await buildTestApp(t, environment, { plugins: [ours, whole] });
  t.ok(app.hasDecorator('paid'));
  const part = await createSources(t, Object.fromEntries(payments));
  await t.rejects(
    buildApp({ environment, plugins: [ours, part] }),
    /payments\/stripe\.js is not loaded: add an index\.ts to its folder/,
  );
  await t.rejects(
    buildApp({ environment, jobs: [await createSources(t, { 'mail/welcome.js': broken })] }),
    /mail\/welcome\.js is not loaded: add an index\.ts to its folder, or move it to .*/,
  );
});

test('A file in routes/ that cannot be loaded is an error', async (t) => {
  const routes = [
    await createSources(t, {
      'cats/index.js': "import './dogs.js'; export default async () => {};",
    }),
  ];
  await t.rejects(buildApp({ environment, routes }), /dogs\.js/);
});

test('A syntax error is named by its place, which may be in another file', async (t) => {
  // Node's own error of TypeScript, which tap's hooks change.
  const code = `const error = new SyntaxError('Unexpected token');
    error.stack = 'file:///cats/store.ts:2\\nconst x = {\\n\\n' + error.stack;
    throw error;`;
  for (const part of ['plugins', 'routes', 'jobs']) {
    const folder = await createSources(t, { 'cats/index.js': code });
    await t.rejects(buildApp({ environment, [part]: [folder] }), {
      message: /cats\/index\.js cannot be loaded: Unexpected token at file:.*store\.ts:2$/,
    });
  }
});

test('A file with a syntax error is named, in plugins/, routes/ and jobs/', async (t) => {
  const folder = await createSources(t, { 'fine.js': ROUTE, 'twice.js': 'let a = 1; let a = 2;' });
  for (const part of ['plugins', 'routes', 'jobs'])
    await t.rejects(buildApp({ environment, [part]: [folder] }), {
      message:
        /twice\.js cannot be loaded: Identifier 'a' has already been declared.*, in this file or one/,
    });
});

test('Plugins are loaded in the order of their dependencies, not of their names', async (t) => {
  const plugins = await createSources(t, {
    'a.js': plugin('a', ['c', 'b'], "app.decorate('a', app.b + 'a');"),
    'b.js': plugin('b', ['c'], "app.decorate('b', app.c + 'b');"),
    'c.js': plugin('c', [], "app.decorate('c', 'c');"),
  });
  const app = await buildTestApp(t, environment, { plugins: [plugins], routes: [] });
  t.equal((app as unknown as { a: string }).a, 'cba');
});

test("A plugin's own routes have the errors and the document of all routes", async (t) => {
  const routes = `
    app.get('/fails', async () => { throw new Error('password=hunter2'); });
    const querystring = { type: 'object', properties: { count: { type: 'integer' } } };
    app.get('/counts', { schema: { querystring } }, async ({ query }) => query);
    app.post('/reads', async ({ body }) => body);
  `;
  const failing = `app.addHook('preHandler', async ({ url }) => {
    if (url === '/openapi.json?fail') throw new Error('password=hunter2');
  });`;
  const scoped = (code: string) => `export default async (app) => { ${code} };`;
  const own = {
    'a.js': plugin('a', [], routes.replaceAll("'/", "'/a/")),
    'b.js': scoped(routes.replaceAll("'/", "'/b/")),
    'd.js': plugin('d', [], failing),
    // A folder's name is the prefix of its routes.
    'c/index.js': scoped(routes),
  };
  const plugins = [await createSources(t, own), new URL('../../plugins/', import.meta.url)];
  const app = await buildTestApp(t, environment, { plugins });
  const failed = await app.inject('/openapi.json?fail');
  t.match(failed, { statusCode: 500, headers: { 'cache-control': 'no-store' } });
  t.notMatch(failed.body, 'hunter2');
  for (const prefix of ['/a', '/b', '/c']) {
    const failed = await app.inject(`${prefix}/fails`);
    t.match(failed, { statusCode: 500, headers: { 'cache-control': 'no-store' } });
    t.notMatch(failed.body, 'hunter2');
    t.match((await app.inject(`${prefix}/counts?count=x`)).json(), {
      errors: [{ path: '/count', in: 'query' }],
    });
    const payload = `${'['.repeat(2_000)}${']'.repeat(2_000)}`;
    const headers = { 'content-type': 'application/json' };
    const nested = await app.inject({ method: 'POST', url: `${prefix}/reads`, payload, headers });
    t.match(nested.json(), { statusCode: 400, code: 'TOO_DEEP' });
    const document = await app.inject('/openapi.json');
    // plugins/docs may have been removed.
    if (document.statusCode === 200) t.hasOwnProp(document.json().paths, `${prefix}/counts`);
  }
});

test('A plugin may name env as its dependency', async (t) => {
  const plugins = await createSources(t, {
    'a.js': plugin('a', ['env'], "app.decorate('a', app.config.PORT);"),
  });
  const app = await buildTestApp(t, environment, { plugins: [plugins], routes: [] });
  t.equal((app as unknown as { a: number }).a, 5000);
});

test('A plugin without its dependency fails, and both are named', async (t) => {
  const plugins = [await createSources(t, { 'a.js': plugin('weather', ['satellite'], '') })];
  await t.rejects(
    buildApp({ environment, plugins, routes: [] }),
    /'satellite' of plugin 'weather' is not registered/,
  );
});

test('A bad environment rejects buildApp', async (t) => {
  const refused = buildApp({ environment: { ...environment, PORT: 'http', LOG_LEVEL: 'loud' } });
  await t.rejects(refused, { name: 'EnvironmentError', variables: ['PORT', 'LOG_LEVEL'] });
});

test('A config that is passed to buildApp is used unchanged', async (t) => {
  const config = await readConfig({ ...environment, PORT: '1234' });
  const app = await buildTestApp(t, { PORT: 'not read' }, { config });
  t.equal(app.config, config);
});

test('A handler that takes longer than REQUEST_TIMEOUT_MS answers 503', async (t) => {
  const route = "export default async (app) => app.get('/', () => new Promise(() => {}));";
  const routes = [await createSources(t, { 'late/index.js': route })];
  const app = await buildTestApp(t, { ...environment, REQUEST_TIMEOUT_MS: '50' }, { routes });
  const answer = await fetch(`${await app.listen({ host: '127.0.0.1', port: 0 })}/late`);
  t.equal(answer.status, 503);
  t.match(await answer.json(), {
    statusCode: 503,
    code: 'SERVICE_UNAVAILABLE',
    message: 'Service Unavailable',
  });
});

test("contract 18: The client's address is the last hop that is not a trusted proxy", async (t) => {
  const route = `
    export default async (app) =>
      app.get('/', async ({ ip, host, protocol }) => ({ ip, host, protocol }));`;
  const routes = [await createSources(t, { 'me/index.js': route })];
  const app = await buildTestApp(t, environment, { routes });
  const headers = {
    host: 'inside.example',
    'x-forwarded-for': '6.6.6.6, 203.0.113.7, 10.1.2.3',
    'x-forwarded-host': 'outside.example',
    'x-forwarded-proto': 'https',
  };
  const ask = async (remoteAddress: string) =>
    (await app.inject({ url: '/me', headers, remoteAddress })).json();
  // The addresses of this machine's, Heroku's, Railway's and Fly.io's router.
  for (const router of ['127.0.0.1', '10.1.2.4', '100.64.0.2', 'fdaa::3'])
    t.strictSame(
      await ask(router),
      { ip: '203.0.113.7', host: 'outside.example', protocol: 'https' },
      router,
    );
  t.strictSame(await ask('203.0.113.99'), {
    ip: '203.0.113.99',
    host: 'inside.example',
    protocol: 'http',
  });
});

test('Connections outlast those of routers, and requests have a time-out', async (t) => {
  const { server } = await buildTestApp(t, environment);
  t.ok(server.keepAliveTimeout > 120_000);
  t.ok(server.requestTimeout > 0 && server.headersTimeout > 0);
});

test('KEEP_ALIVE_TIMEOUT_MS sets how long a connection is kept, up to a day', async (t) => {
  for (const time of ['1', '620000', '86400000']) {
    const { server } = await buildTestApp(t, { ...environment, KEEP_ALIVE_TIMEOUT_MS: time });
    t.equal(server.keepAliveTimeout, Number(time));
  }
  for (const time of ['0', '86400001', '1e3', 'never', '-1'])
    await t.rejects(buildTestApp(t, { ...environment, KEEP_ALIVE_TIMEOUT_MS: time }), {
      message: /KEEP_ALIVE_TIMEOUT_MS.*1 to 86400000/s,
    });
});

test('With `only`, no other route is served', async (t) => {
  const folder = await createSources(t, { 'cats/index.js': ROUTE, 'dogs/index.js': ROUTE });
  const plugins = [
    new URL('../../plugins/', import.meta.url),
    await createSources(t, {
      'mice.js': plugin('mice', [], "app.get('/mice', async () => ({ here: true }))"),
    }),
  ];
  const app = await buildTestApp(t, environment, { routes: [folder], plugins, only: '/cats/' });
  t.strictSame((await app.inject('/cats/')).json(), { here: true });
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }));
  for (const [path, status] of [
    ['http://a/cats/', 200],
    ['/c%61ts/', 200],
    ['http://a/dogs', 404],
  ] as const) {
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    t.match(await text(socket), `HTTP/1.1 ${status} `, path);
  }
  for (const url of ['/dogs', '/mice', '/'])
    t.match((await app.inject(url)).json(), {
      statusCode: 404,
      message: `GET ${url} does not exist.`,
    });
});

test('Plugins may add many listeners to an answer', async (t) => {
  const { app } = await buildAppWithRoutes(
    t,
    `export default async (app) => app.get('/many', async (_request, reply) => {
      for (let count = 0; count < 20; count++) reply.raw.once('close', () => undefined);
      return {};
    });`,
  );
  const warnings: Error[] = [];
  const add = (warning: Error) => void warnings.push(warning);
  process.on('warning', add);
  t.teardown(() => process.off('warning', add));
  await app.inject('/many');
  const leaks = warnings.filter(({ name }) => name === 'MaxListenersExceededWarning');
  t.strictSame(leaks, []);
});
