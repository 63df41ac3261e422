import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync } from 'node:fs';
import { cp, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { type Test, test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import {
  createFolder,
  DOWN,
  ROOT,
  spawnProcess,
  startProcess,
  writeFiles,
} from '../../test/helper.ts';
import { copyBuild, SOURCES } from '../../test/process/copy-build.ts';

/** Packages that an owner adds, and a route that uses them. */
interface Addition {
  packages?: Record<string, string>;
  route: string;
}

/** @returns the answer of the built app with that addition */
async function ask(t: Test, { packages = {}, route }: Addition): Promise<unknown> {
  const folder = await copyBuild(t);
  await writeFiles(path.join(folder, 'node_modules'), packages);
  await writeFiles(path.join(folder, 'dist/routes'), { 'added/index.js': route });
  const web = await startProcess(t, { entry: 'web', folder, environment: { DATABASE_URL: DOWN } });
  return (await fetch(`${web.url}/added`)).json();
}

test('A stack trace of the built app names lines of the sources', async (t) => {
  // The invalid PORT ends the process once everything is loaded.
  const script = `
    process.exit = () => {};
    process.stdout.write = () => {};
    await import('./dist/src/web.js');
    const { describeError } = await import('./dist/plugins/errors/answer.js');
    try { describeError(500, null); } catch ({ stack }) { console.error(stack); }`;
  // `env -i` removes the variables that tap adds to each child to measure coverage.
  const args = ['-i', 'PORT=http', process.execPath, '--input-type=module', '-e', script];
  const { stderr } = spawnSync('env', args, { cwd: ROOT, encoding: 'utf8' });
  t.match(stderr, /plugins[\\/]errors[\\/]answer\.ts:\d+:\d+/);
});

test('Packages of ES modules, CommonJS or both are imported as Node imports them', async (t) => {
  const packages = {
    'es-modules-only/package.json': '{ "exports": { "import": "./index.mjs" } }',
    'es-modules-only/index.mjs': "export default 'ES module';",
    'both/package.json': '{ "exports": { "import": "./index.mjs", "require": "./index.cjs" } }',
    'both/index.mjs': "export default 'ES module';",
    'both/index.cjs': "exports.__esModule = true; exports.default = 'CommonJS module';",
  };
  const route = `
    import one from 'es-modules-only';
    import two from 'both';
    export default async (app) => app.get('/', async () => [
      one, two, import.meta.resolve('./x.js').endsWith('/routes/added/x.js'), import.meta.main,
    ]);`;
  t.strictSame(await ask(t, { packages, route }), ['ES module', 'ES module', true, false]);
});

test('A package can read a file beside itself, and start a worker from one', async (t) => {
  const packages = {
    'reads-file/index.js': `
      const { readFileSync } = require('node:fs');
      const { join } = require('node:path');
      module.exports = () => readFileSync(join(__dirname, 'data.txt'), 'utf8');`,
    'reads-file/data.txt': 'read',
    'has-worker/package.json': '{ "type": "module", "exports": "./index.js" }',
    'has-worker/index.js': `
      import { once } from 'node:events';
      import { Worker } from 'node:worker_threads';
      const url = new URL('worker.js', import.meta.url);
      export default async () => (await once(new Worker(url), 'message'))[0];`,
    'has-worker/worker.js':
      "import { parentPort } from 'node:worker_threads'; parentPort.postMessage('worked');",
  };
  const route = `
    import read from 'reads-file';
    import work from 'has-worker';
    export default async (app) => app.get('/', async () => [read(), await work()]);`;
  t.strictSame(await ask(t, { packages, route }), ['read', 'worked']);
});

test("pino's transports run in their worker", async (t) => {
  const packages = {
    'own-transport/index.js': `
      const { createWriteStream } = require('node:fs');
      module.exports = ({ file }) => createWriteStream(file);`,
  };
  const route = `
    import { once } from 'node:events';
    import { readFileSync } from 'node:fs';
    import { pino } from 'pino';
    export default async (app) => app.get('/', async () => {
      const options = { file: 'transport.log' };
      const transport = pino.transport({ target: 'own-transport', options });
      pino(transport).info('transported');
      transport.end();
      await once(transport, 'close');
      return JSON.parse(readFileSync('transport.log', 'utf8'));
    });`;
  t.match(await ask(t, { packages, route }), { msg: 'transported' });
});

test('A package that depends on a bundled one works', async (t) => {
  const packages = {
    'kysely-addition/package.json': '{ "type": "module", "exports": "./index.js" }',
    'kysely-addition/index.js': `
      import {
        CamelCasePlugin, DummyDriver, Kysely, PostgresAdapter, PostgresQueryCompiler, sql,
      } from 'kysely';
      import { jsonArrayFrom } from 'kysely/helpers/postgres';
      export { jsonArrayFrom };
      export const db = new Kysely({
        dialect: {
          createAdapter: () => new PostgresAdapter(),
          createDriver: () => new DummyDriver(),
          createIntrospector: () => undefined,
          createQueryCompiler: () => new PostgresQueryCompiler(),
        },
        plugins: [new CamelCasePlugin()],
      });
      export const lower = (column) => sql\`lower(\${sql.ref(column)})\`;`,
    'typebox-addition/package.json': '{ "type": "module", "exports": "./index.js" }',
    'typebox-addition/index.js': `
      import { Type } from 'typebox';
      import { Value } from 'typebox/value';
      export const Size = Type.Object({ size: Type.Integer() });
      export const check = (schema, value) => Value.Check(schema, value);`,
  };
  const route = `
    import { Type } from 'typebox';
    import { Value } from 'typebox/value';
    import { db, jsonArrayFrom, lower } from 'kysely-addition';
    import { check, Size } from 'typebox-addition';
    const Both = Type.Intersect([Type.Partial(Size), Type.Object({ name: Type.String() })]);
    export default async (app) => app.get('/', { schema: { response: { 200: Type.Object({
      size: Type.Index(Size, Type.Literal('size')),
      sql: Type.String(),
      checks: Type.Array(Type.Boolean()),
    }) } } }, async () => ({
      size: 1,
      sql: db.selectFrom('notes').select([
        lower('bigTitle').as('t'),
        jsonArrayFrom(db.selectFrom('tags').select('id')).as('allTags'),
      ]).compile().sql,
      checks: [
        check(Both, { name: 'a' }),
        check(Both, { name: 1 }),
        Value.Check(Size, { size: 1 }),
        Value.Check(Size, {}),
      ],
    }));`;
  const answer = await ask(t, { packages, route });
  t.match(answer, { size: 1, checks: [true, false, true, false] });
  t.match(answer, { sql: /^select lower\("big_title"\) as "t", .* as "all_tags" from "notes"$/ });
});

test('A bad schema fails the release; without a release, only its route', async (t) => {
  const folder = await copyBuild(t);
  const route = `
    const schema = { querystring: { type: 'object', properties: { a: { $ref: 'nowhere#' } } } };
    export default async (app) => app.get('/', { schema }, async () => 'served');`;
  await writeFiles(path.join(folder, 'dist/routes'), { 'wrong/index.js': route });
  const environment = { DATABASE_URL: DOWN };
  const release = await startProcess(t, { entry: 'release', folder, environment });
  t.equal(await release.exited, 1);
  const msg = 'The schema of GET /wrong, querystring, cannot be compiled';
  t.match(release.lines.at(-1), { level: 60, msg });
  const web = await startProcess(t, { entry: 'web', folder, environment });
  t.match(await web.waitForLine(msg), { level: 50 });
  t.equal((await fetch(`${web.url}/wrong`)).status, 500);
  t.equal((await fetch(web.url)).status, 200);
});

test('The built app runs in a workspace, in a folder of any name', async (t) => {
  const built = await copyBuild(t);
  const workspace = path.join(await createFolder(t), 'Größe 100% #1 a+b');
  const folder = path.join(workspace, 'apps/poort');
  await mkdir(folder, { recursive: true });
  await rename(path.join(built, 'node_modules'), path.join(workspace, 'node_modules'));
  for (const name of ['dist', 'package.json'])
    await cp(path.join(built, name), path.join(folder, name), { recursive: true });
  const web = await startProcess(t, { entry: 'web', folder, environment: { DATABASE_URL: DOWN } });
  // The page of the API uses a package's files, unless plugins/docs was removed.
  const hasPage = existsSync(path.join(ROOT, 'plugins/docs'));
  for (const url of ['/health/live', ...(hasPage ? ['/docs/swagger-ui.css'] : [])])
    t.equal((await fetch(web.url + url)).status, 200, url);
});

test("The built app has Swagger UI's files where the package is not installed", async (t) => {
  if (!existsSync(path.join(ROOT, 'plugins/docs'))) return;
  const folder = await copyBuild(t, ['swagger-ui-dist']);
  const web = await startProcess(t, { entry: 'web', folder, environment: { DATABASE_URL: DOWN } });
  for (const name of ['swagger-ui.css', 'swagger-ui-bundle.js']) {
    const answer = await fetch(`${web.url}/docs/${name}`);
    t.equal(answer.status, 200);
    const built = await readFile(path.join(ROOT, 'dist/node_modules/swagger-ui-dist', name));
    t.ok(built.equals(Buffer.from(await answer.arrayBuffer())), name);
  }
});

test('The built app refuses the local issuer and says why', async (t) => {
  if (!existsSync(path.join(ROOT, 'plugins/auth'))) return;
  const environment = {
    DATABASE_URL: DOWN,
    AUTH_ISSUER_URL: 'local:.data/issuer',
    AUTH_AUDIENCE: 'poort',
  };
  for (const entry of ['web', 'worker', 'release'] as const) {
    if (!existsSync(path.join(ROOT, `src/${entry}.ts`))) continue;
    const { exited, lines, noise } = spawnProcess(t, { entry, environment });
    t.equal(await exited, 1, entry);
    t.match(JSON.stringify([lines, noise]), /AUTH_ISSUER_URL is.*do not work in the built app/);
  }
});

test('The build needs no package of a removed capability, and copies the file of a link', async (t) => {
  const removed = ['kysely', 'swagger-ui-dist'];
  const folder = await copyBuild(t, removed);
  for (const name of SOURCES)
    await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  await rm(path.join(folder, 'plugins/docs'), { recursive: true, force: true });
  const keep = ([name]: [string, string]) => !removed.includes(name);
  const [dependencies, devDependencies] = [manifest.dependencies, manifest.devDependencies].map(
    (packages) => Object.fromEntries(Object.entries(packages).filter(keep)),
  );
  await writeFiles(folder, {
    'package.json': JSON.stringify({ ...manifest, dependencies, devDependencies }),
    'data.txt': 'data',
    'src/module.mts': 'export const module: number = 1;',
  });
  await symlink('../data.txt', path.join(folder, 'src/data.txt'));
  const args = ['-i', process.execPath, 'scripts/build.ts', '--noCheck'];
  t.match(spawnSync('env', args, { cwd: folder, encoding: 'utf8' }), { status: 0, stderr: '' });
  t.ok(lstatSync(path.join(folder, 'dist/src/data.txt')).isFile());
  t.ok(existsSync(path.join(folder, 'dist/src/module.mjs')));
  t.notOk(existsSync(path.join(folder, 'dist/src/module.mts')));
});
