import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPort } from '../processes.ts';
import type { Contestant } from './contestants.ts';
import { pinServer, readUsage, type Usage } from './processors.ts';

/** The maximum time to the first answer, in milliseconds: 1,000 routes on a busy machine. */
const START_TIMEOUT_MS = 120_000;

/**
 * The time between two requests to a starting contestant, in milliseconds: the error of each boot
 * time.
 */
const POLL_MS = 1;

const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** A running contestant, whose log is read from a pipe. Disposing ends it. */
export class Server implements AsyncDisposable {
  readonly url: string;
  /** The time from its start to the first 200, in milliseconds. */
  bootMs = 0;
  readonly #child: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#child = child;
    children.add(child);
    child.once('exit', () => children.delete(child));
  }

  static async start(
    { name, args, environment }: Contestant,
    processors: 'one' | 'all' = 'one',
  ): Promise<Server> {
    const port = await findPort();
    const [command = '', ...rest] = [...pinServer(processors), process.execPath, ...args];
    const startedAt = performance.now();
    const env = { ...environment, PORT: `${port}` };
    const child = spawn(command, rest, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.resume();
    const server = new Server(`http://127.0.0.1:${port}`, child);
    while (!(await isAnswered(server.url))) {
      if (child.exitCode !== null || performance.now() - startedAt > START_TIMEOUT_MS)
        throw new Error(`${name} does not answer`);
      await sleep(POLL_MS);
    }
    server.bootMs = performance.now() - startedAt;
    return server;
  }

  get usage(): Usage | undefined {
    return readUsage(this.#child.pid!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!children.has(this.#child)) return;
    this.#child.kill('SIGTERM');
    await once(this.#child, 'exit');
  }
}

function isAnswered(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    http
      .get(url, { agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      })
      .once('error', () => resolve(false));
  });
}
