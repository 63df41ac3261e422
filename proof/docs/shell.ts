import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPort } from '../processes.ts';

/** The maximum time until a server is ready, in milliseconds; it may create its database first. */
const READY_TIMEOUT_MS = 300_000;

const running = new Set<ChildProcess>();

process.once('exit', () => {
  for (const child of running) signalGroup(child, 'SIGKILL');
});

/** The environment of a reader of the documentation, with a port that no other proof uses. */
export function createEnvironment(folder: string, port = 0): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return {
    PATH,
    HOME,
    PORT: `${port}`,
    HOST: '127.0.0.1',
    DATABASE_URL: `pglite:${path.join(folder, '.data/proof')}`,
    SHUTDOWN_DELAY_MS: '0',
    TAP_TIMEOUT: '600',
  };
}

/** Runs a command in a shell, and resolves with its exit code and output. */
export async function runCommand(
  folder: string,
  command: string,
  environment = createEnvironment(folder),
): Promise<{ code: number | null; output: string }> {
  const { child, output } = start(folder, command, environment);
  const [code] = await once(child, 'close');
  return { code, output: output() };
}

/** @throws if the command does not end with 0 */
export async function expectSuccess(
  folder: string,
  command: string,
  environment?: NodeJS.ProcessEnv,
): Promise<string> {
  const { code, output } = await runCommand(folder, command, environment);
  assert(
    code === 0,
    `the command ended with ${code}:\n${output.split('\n').slice(-40).join('\n')}`,
  );
  return output;
}

/** Starts a server, calls `use` with its URL when it is ready, and stops it. */
export async function serve(
  folder: string,
  command: string,
  use: (url: string) => Promise<unknown>,
): Promise<void> {
  const port = await findPort();
  const { child, output } = start(folder, command, createEnvironment(folder, port));
  const ended = once(child, 'close');
  try {
    await waitUntilReady(`http://127.0.0.1:${port}`, child, output);
    await use(`http://127.0.0.1:${port}`);
  } finally {
    signalGroup(child, 'SIGTERM');
    await ended;
  }
}

/**
 * Starts a process group, so that all get the signal, as from a terminal: npm does not pass it on.
 */
function start(folder: string, command: string, env: NodeJS.ProcessEnv) {
  const child = spawn(command, {
    cwd: folder,
    env,
    shell: true,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const chunks: Buffer[] = [];
  running.add(child);
  child.once('close', () => running.delete(child));
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => chunks.push(chunk));
  return { child, output: () => Buffer.concat(chunks).toString() };
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, signal);
  } catch {
    // The whole group has ended already.
  }
}

async function waitUntilReady(
  url: string,
  child: ChildProcess,
  output: () => string,
): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!(await isReady(url))) {
    if (child.exitCode !== null || performance.now() > deadline)
      throw new Error(`The server is not ready:\n${output()}`);
    await sleep(100);
  }
}

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/health/ready`).catch(() => undefined);
  await answer?.body?.cancel();
  return answer?.status === 200;
}
