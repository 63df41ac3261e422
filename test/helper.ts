import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Test } from 'tap';
import { type AppOptions, buildApp } from '../src/app.ts';
import { readLines } from '../src/lines.ts';
import { createLogger } from '../src/logger.ts';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** A PostgreSQL server that is down: nothing listens on port 1. */
export const DOWN = 'postgres://poort:hunter2@127.0.0.1:1/poort';

/** The Node that runs the built app: that of the tests, or TEST_NODE. */
export const NODE = process.env.TEST_NODE || process.execPath;

const ROUTES = new URL('../routes/', import.meta.url);

/** An owner may have removed routes/welcome. */
const START_PAGE = new URL('fixture/start-page/', import.meta.url);

export type Environment = Record<string, string>;

/** Settings of your own plugins that have no default. Every app of a test gets them. */
const OWN: Environment = {};

/** All settings that have no default. */
export const REQUIRED: Environment = { ...OWN, DATABASE_URL: DOWN };

/** A log line: pino's own fields, and the logged ones. */
export interface LogLine extends Record<string, unknown> {
  level: number;
  time: number;
  msg: string;
}

/**
 * Builds the app as production does, on a database in memory, which opens at its first query. The
 * app is closed after the test.
 */
export async function buildTestApp(
  t: Test,
  environment: Environment = {},
  { routes = [ROUTES, START_PAGE], ...options }: Omit<AppOptions, 'environment'> = {},
): Promise<FastifyInstance> {
  // A busy machine needs long to create a database, so requests get a long time-out.
  const defaults = {
    ...OWN,
    DATABASE_URL: 'pglite:memory',
    LOG_LEVEL: options.logger ? 'info' : 'silent',
    REQUEST_TIMEOUT_MS: '600000',
  };
  const app = await buildApp({ ...options, routes, environment: { ...defaults, ...environment } });
  endAfter(t, () => app.close());
  return app;
}

/**
 * Ends something after the test. If that fails, the test fails, and the rest is still ended: after
 * a teardown that rejects, tap skips all others.
 */
export function endAfter(t: Test, end: () => unknown): void {
  t.teardown(async () => {
    try {
      await end();
    } catch (error) {
      t.threw(error as Error);
    }
  });
}

/**
 * Builds the app with the routes of `code`, `/` and `/health/`. Your other routes are left out,
 * because they may have the same paths.
 *
 * @param code the code of a route file
 * @returns the app, and the lines that it logs from now on
 */
export async function buildAppWithRoutes(
  t: Test,
  code: string,
  environment: Environment = {},
): Promise<{ app: FastifyInstance; lines: LogLine[] }> {
  const { logger, lines } = captureLog();
  const routes = [await writeRoutes(t, code)];
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, ...environment }, { logger, routes });
  lines.length = 0;
  return { app, lines };
}

/** Creates a folder with the routes of `code`, `/`, `/health/` and others of routes/. */
export async function writeRoutes(t: Test, code: string, others: string[] = []): Promise<URL> {
  const folder = await createFolder(t);
  const files: Record<string, string> = {
    'index.js': code,
    'welcome/index.js': exportFrom(fileURLToPath(new URL('index.ts', START_PAGE))),
  };
  for (const name of ['welcome', 'health', ...others]) {
    const file = path.join(ROOT, 'routes', name, 'index.ts');
    if (existsSync(file)) files[`${name}/index.js`] = exportFrom(file);
  }
  await writeFiles(folder, files);
  return pathToFileURL(`${folder}/`);
}

/** Whether a plugin reads bodies of this type. An owner may have added one. */
export function hasParser(app: FastifyInstance, type: string): boolean {
  const [name = ''] = type.split(';');
  return name.includes('/') && app.hasContentTypeParser(name);
}

/** The code of a file that exports what another file exports. */
export function exportFrom(file: string): string {
  const url = pathToFileURL(file);
  return `export * from '${url}';\nexport { default } from '${url}';\n`;
}

/** Creates the app's logger, and keeps its lines. */
export function captureLog(): { logger: Logger; lines: LogLine[] } {
  const lines: LogLine[] = [];
  return { logger: createLogger({ write: (line) => void lines.push(JSON.parse(line)) }), lines };
}

export interface ProcessOptions {
  /**
   * A process type of the Procfile, or one of test/fixture: `fixture` is `web` with additional
   * routes; `cluster` is the primary of src/cluster.ts with special workers; `job-worker` and
   * `job-command` are `worker` and `job` with additional jobs.
   */
  entry:
    | 'web'
    | 'release'
    | 'worker'
    | 'job'
    | 'console'
    | 'fixture'
    | 'cluster'
    | 'job-worker'
    | 'job-command';
  /** What the workers of `cluster` do: see test/fixture/cluster.ts. */
  mode?: string;
  /** Command line arguments. */
  args?: string[];
  /** Added to PORT=0, HOST=127.0.0.1 and OWN. An empty string means not set. */
  environment: Environment;
  /** `dist` (default) is the built app, with no other variables; `src` is measured for coverage. */
  source?: 'dist' | 'src';
  /** The command that runs Node, with its arguments. */
  node?: string[];
  /** The folder of dist/, and the working directory. */
  folder?: string;
}

export interface TestProcess {
  pid: number;
  /** The URL on which it listens; empty if it ended before that. */
  url: string;
  /** The log so far. */
  lines: LogLine[];
  /** Lines of stdout that are not JSON objects, and everything on stderr. */
  noise: string[];
  /** The exit code, or the signal that ended it. */
  exited: Promise<number | string>;
  /**
   * Resolves with the first line whose message contains this; rejects when the process ends without
   * one.
   */
  waitForLine(message: string): Promise<LogLine>;
  signal(name: NodeJS.Signals): void;
  /** Writes to the process's stdin. */
  write(text: string): void;
  /** Ends the process's stdin. */
  end(): void;
}

/** Running processes, to kill them even if the tests end without teardown, at tap's time-out. */
const running = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a process; resolves when it listens or has ended. It is killed after the test. */
export async function startProcess(t: Test, options: ProcessOptions): Promise<TestProcess> {
  const started = spawnProcess(t, options);
  const listening = await started.waitForLine('Server listening at').catch(() => undefined);
  if (!listening) await started.exited;
  return Object.assign(started, { url: listening?.msg.replace(/^.* /, '') ?? '' });
}

/** Runs a process to its end, with `input` on its stdin. */
export async function runProcess(t: Test, options: ProcessOptions, input = '') {
  const started = spawnProcess(t, options);
  started.write(input);
  started.end();
  const code = await started.exited;
  return { ...started, code, last: started.lines.at(-1), said: started.noise.join('\n') };
}

/** Starts a process and does not wait for anything. */
export function spawnProcess(t: Test, options: ProcessOptions): TestProcess {
  const { environment, source = 'dist', folder = ROOT } = options;
  const variables = { ...OWN, PORT: '0', HOST: '127.0.0.1', ...environment };
  const node = options.node ?? [source === 'dist' ? NODE : process.execPath];
  const command = [...node, ...findEntry(options), ...(options.args ?? [])];
  // tap adds variables to each child to measure coverage: `env -i` removes them.
  const empty = [
    'env',
    '-i',
    ...Object.entries(variables).map(([name, value]) => `${name}=${value}`),
  ];
  const [file = '', ...rest] = source === 'dist' ? [...empty, ...command] : command;
  const child = spawn(file, rest, { cwd: folder, ...(source === 'src' && { env: variables }) });
  const exited = once(child, 'close').then(([code, signal]) => code ?? signal);
  running.add(child);
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
    running.delete(child);
  });
  const log = readLog(child.stdout, exited);
  child.stderr.on('data', (data) => log.noise.push(String(data)));
  return {
    pid: child.pid ?? 0,
    url: '',
    ...log,
    get exited() {
      return limit(exited, () => `the end of ${command.join(' ')}`);
    },
    signal: (name) => void child.kill(name),
    write: (text) => void child.stdin.write(text),
    end: () => void child.stdin.end(),
  };
}

function findEntry({ entry, mode = '', source = 'dist', folder = ROOT }: ProcessOptions): string[] {
  if (entry === 'fixture') return [path.join(ROOT, 'test/fixture/web.ts'), source];
  if (entry.startsWith('job-')) return [path.join(ROOT, `test/fixture/${entry}.ts`), source];
  if (entry === 'cluster') return [path.join(ROOT, 'test/fixture/cluster.ts'), mode];
  return [path.join(folder, source === 'src' ? `src/${entry}.ts` : `dist/src/${entry}.js`)];
}

function readLog(stdout: Readable, exited: Promise<unknown>) {
  const lines: LogLine[] = [];
  const noise: string[] = [];
  const reader = new EventEmitter();
  readLines(stdout, (text) => {
    if (text.startsWith('{')) lines.push(JSON.parse(text));
    else noise.push(text);
    reader.emit('line');
  });
  const findLine = async (message: string) => {
    const find = () => lines.find(({ msg }) => msg.includes(message));
    const end = exited.then(() => true);
    while (!find() && !(await Promise.race([once(reader, 'line').then(() => false), end])));
    return find();
  };
  const waitForLine = async (message: string) => {
    const describe = () => `"${message}" in ${JSON.stringify([...lines, ...noise])}`;
    const line = await limit(findLine(message), describe);
    if (!line) throw new Error(`The process ended without ${describe()}`);
    return line;
  };
  return { lines, noise, waitForLine };
}

/** Finds a free port below 32768: systems give those above to sockets without a port. */
export async function findFreePort(): Promise<number> {
  const port = randomInt(20_000, 32_768);
  const server = createServer().listen(port, '127.0.0.1');
  const isFree = await once(server, 'listening').then(
    () => true,
    () => false,
  );
  if (!isFree) return findFreePort();
  server.close();
  await once(server, 'close');
  return port;
}

/** Creates a folder that is deleted after the test. */
export async function createFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'poort-'));
  endAfter(t, () => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** How long a test waits for a condition, in milliseconds: enough for a busy machine. */
const WAIT_MS = 120_000;

/** Resolves when the condition is true; checks it every 20 ms. */
export async function poll(condition: () => boolean | Promise<boolean>): Promise<void> {
  let late = false;
  const check = async () => {
    while (!late && !(await condition())) await sleep(20);
  };
  await limit(check(), () => `${condition}`).finally(() => {
    late = true;
  });
}

/** @throws after WAIT_MS, with a description of what was awaited */
async function limit<Value>(value: Promise<Value>, describe: () => string): Promise<Value> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const error = () => reject(new Error(`Not within ${WAIT_MS} ms: ${describe()}`));
  const timer = setTimeout(error, WAIT_MS);
  return Promise.race([value, late]).finally(() => clearTimeout(timer));
}

/** As `fetch`, but a plugin such as @fastify/compress leaves the answer as the route sends it. */
export function fetchUncompressed(url: string, options: RequestInit = {}): Promise<Response> {
  return fetch(url, { ...options, headers: { 'accept-encoding': 'identity' } });
}

/** Resolves when the port refuses connections. */
export async function waitForClosedPort(url: string): Promise<void> {
  const isClosed = (error: Error) =>
    (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ECONNREFUSED';
  await poll(() => fetch(url).then(() => false, isClosed));
}

/**
 * Sends SIGINT until the process has ended.
 *
 * @returns its exit code or signal
 */
export async function interruptUntilEnded(started: TestProcess): Promise<number | string> {
  let ended = false;
  const exited = started.exited.finally(() => {
    ended = true;
  });
  await poll(() => {
    started.signal('SIGINT');
    return ended;
  });
  return exited;
}

/** Writes files and their folders into a folder. */
export async function writeFiles(folder: string, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
}
