import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { type Test, test } from 'tap';
import manifest from '../../package.json' with { type: 'json' };
import { createEmbeddedDatabase } from '../../test/fixture/embedded-database.ts';
import { openPostgresPort } from '../../test/fixture/postgres-port.ts';
import {
  type Environment,
  findFreePort,
  type LogLine,
  type ProcessOptions,
  poll,
  ROOT,
  startProcess,
  type TestProcess,
  writeFiles,
} from '../../test/helper.ts';
import { copyBuild } from '../../test/process/copy-build.ts';

/** The client's address, as a router sends it. */
const CLIENT = '192.0.2.1';

/*
 * Runs the built app, or the app with the routes of test/fixture, each process with the variables
 * named here alone. `a` is a PostgreSQL on a port, `b` an embedded one in a folder.
 */
test('The twelve factors', async (t) => {
  const table = [['Factor', 'What was done', 'What was seen']];
  const build = await copyBuild(t);
  const a = await openPostgresPort(t);
  const b = `pglite:${await createEmbeddedDatabase()}`;
  const onA = { DATABASE_URL: a.url, DATABASE_POOL_MAX: '1', SHUTDOWN_DELAY_MS: '0' };
  const onB = { DATABASE_URL: b, SHUTDOWN_DELAY_MS: '0' };
  const everything: TestProcess[] = [];
  const start = async (options: ProcessOptions) => {
    const started = await startProcess(t, options);
    everything.push(started);
    return started;
  };
  const startBuild = (environment: Environment, entry: 'web' | 'release' = 'web') =>
    start({ entry, environment, folder: build });
  const startFixture = (environment: Environment) => start({ entry: 'fixture', environment });
  const before = await listFiles(build);
  const PORT = String(await findFreePort());
  /** The processes that later tests use: the build from V to XII, and the fixture from VI to X. */
  let web: TestProcess;
  let fixture: TestProcess;

  const prove = (factor: string, done: string, run: (t: Test) => Promise<string>) =>
    t.test(`${factor}: ${done}`, async (t) => void table.push([factor, done, await run(t)]));

  await prove('I Codebase', 'two deploys of one build, with different environments', async (t) => {
    const trusting = await startBuild({ ...onA, TRUST_PROXY: 'loopback' });
    const wary = await startBuild({ ...onA, TRUST_PROXY: '10.0.0.0/8' });
    const answer = await describe(trusting, '/');
    t.strictSame(answer, await describe(wary, '/'));
    t.match(answer, { status: 200, body: { name: manifest.name, version: manifest.version } });
    await stop(t, trusting, wary);
    t.match([trusting, wary].map(findRequest), [{ address: CLIENT }, { address: '127.0.0.1' }]);
    const { name, version } = manifest;
    return `both answer as ${name} ${version}; one sees the client ${CLIENT}, the other 127.0.0.1`;
  });

  await prove('II Dependencies', 'dist/ with the packages of package.json alone', async (t) => {
    const folder = await copyBuild(t);
    const declared = Object.keys(manifest.dependencies);
    await linkPackages(folder, declared);
    const environment = {
      ...onA,
      REDIS_URL: 'redis://127.0.0.1:1',
      BACKING_APP_URL: 'http://127.0.0.1:1',
    };
    const web = await start({ entry: 'web', environment, folder });
    for (const file of ['/', '/openapi.json', '/health/ready', '/nowhere'])
      t.ok((await describe(web, file)).status !== 500, file);
    await writeFiles(folder, {
      'dist/routes/needy/index.js': `import '${declared[0]}'; export default async () => {};`,
    });
    await stop(t, await start({ entry: 'web', environment, folder }));
    await linkPackages(folder, declared.slice(1));
    const lacking = await startProcess(t, { entry: 'web', environment, folder });
    t.not(await lacking.exited, 0);
    t.match(JSON.stringify([lacking.lines, lacking.noise]), `Cannot find package '${declared[0]}'`);
    await stop(t, web);
    return `the app serves with ${declared.length} packages; without one of them it does not start`;
  });

  await prove(
    'III Config',
    '.env files in its folder, another variable, a bad variable',
    async (t) => {
      const folder = await copyBuild(t);
      await writeFiles(folder, { '.env': 'PORT=http\n', '.env.production': 'PORT=http\n' });
      const web = await start({ entry: 'web', environment: onA, folder });
      t.equal((await describe(web, '/')).status, 200, 'no file was read');
      const bad = await startProcess(t, {
        entry: 'web',
        environment: { ...onA, PORT: 'http' },
        folder,
      });
      t.equal(await bad.exited, 1);
      t.match(bad.lines, [{ level: 60, msg: /^ {2}PORT is /m }]);
      await stop(t, web);
      return '.env files are not read; the bad variable is named, exit code 1';
    },
  );

  await prove(
    'IV Backing services',
    'another database attached by DATABASE_URL, and the first one again',
    async (t) => {
      const visits: number[] = [];
      for (const environment of [onA, onB, onA]) {
        const web = await startFixture(environment);
        visits.push(await countVisit(web));
        await stop(t, web);
      }
      t.strictSame(visits, [1, 1, 2]);
      return `visits counted: ${visits.join(', ')}`;
    },
  );

  await prove(
    'V Build, release, run',
    'release and web of one build, its files compared',
    async (t) => {
      const release = await startBuild(onA, 'release');
      t.equal(await release.exited, 0);
      web = await startBuild({ ...onA, PORT });
      await poll(async () => (await describe(web, '/health/ready')).status === 200);
      t.strictSame(await listFiles(build), before);
      return `ready after the release; its ${before.length} files and folders are unchanged`;
    },
  );

  await prove('VI Processes', 'a write by a process that is killed, read by another', async (t) => {
    const first = await startFixture(onA);
    fixture = await startFixture({ ...onA, SHUTDOWN_DELAY_MS: '100' });
    const visits = [await countVisit(first), await countVisit(fixture)];
    first.signal('SIGKILL');
    t.equal(await first.exited, 'SIGKILL');
    visits.push(await countVisit(fixture));
    t.strictSame(visits, [3, 4, 5]);
    return `visits counted: ${visits.join(', ')}`;
  });

  await prove(
    'VII Port binding',
    'HTTP requests on PORT, without a server in front; the same PORT for two processes',
    async (t) => {
      t.equal(web.url, `http://127.0.0.1:${PORT}`);
      t.equal((await describe(web, '/')).status, 200);
      const second = await startBuild({ ...onA, PORT });
      t.equal(await second.exited, 1);
      t.match(second.lines.at(-1), { msg: `Port ${PORT} is taken by another process` });
      return '200 from the process itself; the second one ends with 1 and the reason';
    },
  );

  await prove(
    'VIII Concurrency',
    'WEB_CONCURRENCY=2, each request on a connection of its own',
    async (t) => {
      const web = await startFixture({ ...onA, WEB_CONCURRENCY: '2' });
      const pids = new Set<unknown>();
      await poll(async () => {
        await fetch(web.url, { headers: { connection: 'close' } });
        for (const { msg, pid } of web.lines) if (msg === 'request') pids.add(pid);
        return pids.size === 2;
      });
      t.notOk(pids.has(web.pid), 'the primary serves nothing itself');
      await stop(t, web);
      return 'two processes answer on one port';
    },
  );

  await prove(
    'IX Disposability',
    'SIGTERM while a request is being answered, and a new start',
    async (t) => {
      const held = fetch(`${fixture.url}/fixture/held`);
      await fixture.waitForLine('held');
      fixture.signal('SIGTERM');
      await fixture.waitForLine('Draining');
      fixture.write('answer');
      t.equal((await held).status, 200);
      t.equal(await fixture.exited, 0);
      const startedAt = performance.now();
      fixture = await startFixture(onA);
      const startMs = Math.round(performance.now() - startedAt);
      t.equal((await describe(fixture, '/')).status, 200);
      return `answered with 200, exit code 0; the next one listens after ${startMs} ms`;
    },
  );

  await prove(
    'X Dev/prod parity',
    "development's sources on pglite:, production's build on postgres:",
    async (t) => {
      const development = await start({ entry: 'fixture', environment: onB, source: 'src' });
      const paths = [
        '/',
        '/health/live',
        '/health/ready',
        '/fixture/database',
        '/openapi.json',
        '/nowhere',
      ];
      for (const one of [development, fixture])
        await poll(async () => (await describe(one, '/health/ready')).status === 200);
      for (const file of paths)
        t.strictSame(await describe(development, file), await describe(fixture, file), file);
      await stop(t, development, fixture);
      return `${paths.length} requests, the same answers`;
    },
  );

  await prove('XI Logs', 'stdout and stderr of each process of this test', async (t) => {
    const lines = everything.flatMap(({ lines }) => lines);
    t.strictSame(
      everything.flatMap(({ noise }) => noise),
      [],
    );
    t.ok(
      lines.every(({ level, time, pid, msg }) => level && time && pid && typeof msg === 'string'),
    );
    t.strictSame(await listFiles(build), before, 'no log file was written');
    return `${everything.length} processes, ${lines.length} lines, each a JSON object on stdout`;
  });

  await prove(
    'XII Admin processes',
    'release while the app runs, with the same build and environment',
    async (t) => {
      const release = await startBuild(onA, 'release');
      t.equal(await release.exited, 0);
      t.match(release.lines.at(-1), {
        name: manifest.name,
        level: 30,
        applied: [],
        msg: 'Nothing to apply',
      });
      t.equal((await describe(web, '/health/ready')).status, 200);
      await stop(t, web);
      return 'exit code 0, nothing to apply, and the app serves on';
    },
  );

  for (const line of formatTable(table)) t.comment(line);
});

async function describe(
  { url }: TestProcess,
  file: string,
): Promise<{ status: number; body: object }> {
  const answer = await fetch(`${url}${file}`, { headers: { 'x-forwarded-for': CLIENT } });
  // The OpenAPI document contains the URL of its request.
  const text = (await answer.text()).replaceAll(url, '');
  return { status: answer.status, body: JSON.parse(text) };
}

async function countVisit({ url }: TestProcess): Promise<number> {
  const answer = await fetch(`${url}/fixture/database/visits`, { method: 'POST' });
  return ((await answer.json()) as { visits: number }).visits;
}

async function stop(t: Test, ...processes: TestProcess[]): Promise<void> {
  for (const { signal } of processes) signal('SIGTERM');
  for (const { exited } of processes) t.equal(await exited, 0);
}

function findRequest({ lines }: TestProcess): LogLine | undefined {
  return lines.find(({ msg }) => msg === 'request');
}

/** Links only these packages into a copied build. Their dependencies are beside the original. */
async function linkPackages(folder: string, names: string[]): Promise<void> {
  await rm(path.join(folder, 'node_modules'), { recursive: true });
  for (const name of names) {
    const link = path.join(folder, 'node_modules', name);
    await mkdir(path.dirname(link), { recursive: true });
    await symlink(path.join(ROOT, 'node_modules', name), link, 'junction');
  }
}

/** Lists a copied build: the names at its top, and each file of dist/ with a hash. */
async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(path.join(folder, 'dist'), {
    recursive: true,
    withFileTypes: true,
  });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => path.join(parentPath, name));
  const sum = async (file: string) =>
    `${file} ${createHash('sha256')
      .update(await readFile(file))
      .digest('hex')}`;
  return [...(await readdir(folder)), ...(await Promise.all(files.sort().map(sum)))];
}

function formatTable(rows: string[][]): string[] {
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
