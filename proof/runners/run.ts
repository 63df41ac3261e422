import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findForemanPorts, RunningForeman, waitUntilReady } from '../examples/foreman.ts';
import type { Ending } from '../processes.ts';

/** Whose tools have the npm package foreman. */
export const EXAMPLES = path.join(import.meta.dirname, '../../examples');

export const NF = path.join(EXAMPLES, 'node_modules/.bin/nf');

/**
 * How long the processes may take to be gone after the one that has started them, in milliseconds.
 */
const GONE_TIMEOUT_MS = 60_000;

/** Requests to each process, so that the lines of two come at once. */
const REQUESTS = 25;

/** A line of the log, as the app writes it. */
export interface Line {
  pid: number;
  msg: string;
  path?: string;
}

/** The app under a runner that keeps no other process for it than those it is asked for. */
export class Run implements AsyncDisposable {
  /** Where the processes listen. */
  readonly ports: number[];
  readonly #foreman: RunningForeman;

  private constructor(foreman: RunningForeman, ports: number[]) {
    this.#foreman = foreman;
    this.ports = ports;
  }

  /** Starts it, and resolves when all processes are ready. */
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
    // The runner itself is the process that gets the signals, no shell is between.
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

  /** What the runner has printed. */
  get output(): string[] {
    return this.#foreman.process.lines;
  }

  /** What of that is the app's: the name of the process, where the runner says it, and the line. */
  get log(): { name: string; line: Line }[] {
    const lines = this.output.map((line) => /^(?:.*?(web\.\d)\s+\|\s+)?(\{.*)$/.exec(line));
    return lines.flatMap((match) =>
      match ? { name: match[1] ?? 'web', line: JSON.parse(match[2]!) } : [],
    );
  }

  get ended(): Promise<Ending> {
    return this.#foreman.process.ended;
  }

  /** To the runner alone, or to all, as a terminal does. */
  signal(name: NodeJS.Signals, to: 'runner' | 'group'): void {
    if (to === 'group') this.#foreman.signal(name);
    else this.#foreman.process.signal(name);
  }

  /** Asks all processes at once. @returns the paths that were asked for, each of them once */
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

  /**
   * Resolves when the runner has ended: `ended` does so when nobody has its output open any more,
   * the app neither.
   */
  async waitUntilRunnerEnded(): Promise<void> {
    while (isThere(this.#foreman.process.pid)) await sleep(50);
  }

  /** Resolves when there is no process any more that was started by the runner. */
  async waitUntilGone(): Promise<void> {
    const deadline = performance.now() + GONE_TIMEOUT_MS;
    while (this.#listProcesses().length > 0) {
      assert(performance.now() < deadline, `left behind: ${this.#listProcesses().join(', ')}`);
      await sleep(50);
    }
  }

  /** Without those that have ended and whose parent has not looked yet. */
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
