import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildApp } from './build.ts';
import { PostgresServer } from './postgres.ts';
import { findPort, makeFolder, RunningProcess } from './processes.ts';

/**
 * The maximum time until the app is ready, in milliseconds; the embedded database may be created
 * first.
 */
const START_TIMEOUT_MS = 120_000;

export interface AppOptions {
  /** Variables beside those that the app needs. The process has no others. */
  environment?: Record<string, string>;
  /** Use a new PostgreSQL server instead of the embedded database. */
  postgres?: boolean;
  /** The folder of dist/. Without it, the app is built. */
  folder?: string;
}

/** A running built app. Disposing ends the app and its database. */
export interface RunningApp extends AsyncDisposable {
  url: string;
  port: number;
  process: RunningProcess;
}

/** Builds and starts the app on a free loopback port, and waits until it is ready. */
export async function startApp({
  environment,
  postgres = false,
  folder,
}: AppOptions = {}): Promise<RunningApp> {
  await using stack = new AsyncDisposableStack();
  const database = postgres
    ? stack.use(await PostgresServer.create()).url
    : `pglite:${path.join(await makeFolder('database'), 'data')}`;
  const port = await findPort();
  const settings = {
    PORT: `${port}`,
    HOST: '127.0.0.1',
    DATABASE_URL: database,
    SHUTDOWN_DELAY_MS: '0',
    ...environment,
  };
  if (postgres) await release(settings);
  const process = stack.use(runApp('web', settings, [], folder));
  const url = `http://127.0.0.1:${port}`;
  await waitUntilReady(process, url);
  const started = stack.move();
  return { url, port, process, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

/** Runs a process type of the built app with these variables alone. */
export function runApp(
  type: 'web' | 'worker' | 'release',
  environment: Record<string, string>,
  nodeFlags: string[] = [],
  folder = buildApp(),
): RunningProcess {
  return new RunningProcess(process.execPath, [...nodeFlags, `dist/src/${type}.js`], {
    folder,
    environment,
  });
}

async function release(settings: Record<string, string>): Promise<void> {
  const process = runApp('release', settings);
  const { code } = await process.ended;
  if (code !== 0) throw new Error(`release ended with ${code}:\n${process.lines.join('\n')}`);
}

async function waitUntilReady(process: RunningProcess, url: string): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!(await isReady(url))) {
    if (process.hasEnded || performance.now() > deadline)
      throw new Error(`The app did not become ready:\n${process.lines.join('\n')}`);
    await sleep(100);
  }
}

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/health/ready`).catch(() => undefined);
  await answer?.body?.cancel();
  return answer?.status === 200;
}
