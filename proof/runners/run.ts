import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findForemanPorts, RunningForeman, waitUntilReady } from '../examples/foreman.ts';
import type { Ending } from '../processes.ts';

/** The tools of examples/ include the npm package foreman. */
export const EXAMPLES = path.join(import.meta.dirname, '../../examples');

export const NF = path.join(EXAMPLES, 'node_modules/.bin/nf');

/** The time-out until all processes are gone after their runner, in milliseconds. */
const GONE_TIMEOUT_MS = 60_000;

/** The requests to each process, so that both log at the same time. */
const REQUESTS = 25;

/** A log line of the app. */
export interface Line {
  pid: number;
  msg: string;
  path?: string;
}

/** The app started by a runner, with exactly the requested processes. */
export class Run implements AsyncDisposable {
  /** The ports of the processes. */
  readonly ports: number[];
  readonly #foreman: RunningForeman;

  private constructor(foreman: RunningForeman, ports: number[]) {
    this.#foreman = foreman;
    this.ports = ports;
  }

  /** Starts the runner, and resolves when all processes are ready. */
  static async start(
    command: string,
    folder: string,
    processes: number,
    environment: Record<string, string>,
  ) {
    const ports = (await findForemanPorts(1)).slice(0, processes);
    const settings = {
      HOST: '127.0.0.1',
      PORT: `${ports[0]}`,
      SHUTDOWN_DELAY_MS: '500',
      ...environment,
    };
    const quiet = { npm_config_update_notifier: 'false' };
    // No shell, so that the runner itself gets the signals.
    const run = new Run(
      new RunningForeman(`exec ${command}`, folder, { ...quiet, ...settings }),
      ports,
    );
    for (const url of run.urls) await waitUntilReady(url, run.#foreman.process);
    return run;
  }

  get urls(): string[] {
    return this.ports.map((port) => `http://127.0.0.1:${port}`);
  }

  /** The runner's output. */
  get output(): string[] {
    return this.#foreman.process.lines;
  }

  /** The app's lines in the output, with the process name if the runner prints it. */
  get log(): { name: string; line: Line }[] {
    const lines = this.output.map((line) => /^(?:.*?(web\.\d)\s+\|\s+)?(\{.*)$/.exec(line));
    return lines.flatMap((match) =>
      match ? { name: match[1] ?? 'web', line: JSON.parse(match[2]!) } : [],
    );
  }

  get ended(): Promise<Ending> {
    return this.#foreman.process.ended;
  }

  /** Signals the runner alone, or the whole group, as a terminal does. */
  signal(name: NodeJS.Signals, to: 'runner' | 'group'): void {
    if (to === 'group') this.#foreman.signal(name);
    else this.#foreman.process.signal(name);
  }

  /**
   * Sends requests to all processes at once.
   *
   * @returns their paths, each unique
   */
  async load(): Promise<string[]> {
    const asked = this.urls.flatMap((url, process) =>
      Array.from({ length: REQUESTS }, (_, count) => ({
        url,
        path: `/asked/${process + 1}/${count}`,
      })),
    );
    const answers = await Promise.all(asked.map(({ url, path }) => fetch(`${url}${path}`)));
    for (const { status } of answers) assert.equal(status, 404);
    return asked.map(({ path }) => path);
  }

  /** Resolves when the runner has ended. `ended` also waits for the app to close the output. */
  async waitUntilRunnerEnded(): Promise<void> {
    while (isThere(this.#foreman.process.pid)) await sleep(50);
  }

  /** Resolves when all processes of the runner are gone. */
  async waitUntilGone(): Promise<void> {
    const deadline = performance.now() + GONE_TIMEOUT_MS;
    while (this.#listProcesses().length > 0) {
      assert(performance.now() < deadline, `left behind: ${this.#listProcesses().join(', ')}`);
      await sleep(50);
    }
  }

  /** Ignores zombies. */
  #listProcesses(): string[] {
    const all = execFileSync('ps', ['-A', '-o', 'pgid=,stat=,args='], { encoding: 'utf8' }).split(
      '\n',
    );
    const group = all
      .map((line) => line.trim().split(/\s+/))
      .filter(([id]) => id === `${this.#foreman.process.pid}`);
    return group
      .filter(([, state = '']) => !state.startsWith('Z'))
      .map(([, , ...command]) => command.join(' '));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#foreman[Symbol.asyncDispose]();
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
