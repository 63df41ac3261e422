import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Test } from 'tap';

/** Debian's folder of PostgreSQL's programs, which are not on the PATH. */
const DEBIAN_POSTGRES = '/usr/lib/postgresql';

/** Running servers, which are ended even if a test file is aborted. */
const running = new Set<ServerProcess>();
process.once('exit', () => {
  for (const server of running) server.signal('SIGKILL');
});

interface User {
  uid: number;
  gid: number;
}

/** A server in a temporary folder, with its child processes, until the end of the test. */
export class ServerProcess {
  readonly #command: string[];
  readonly #ready: string;
  #child: ChildProcess | undefined;

  /**
   * @param command the program and its arguments
   * @param ready the output that shows that it accepts connections
   */
  constructor(t: Test, command: string[], ready: string) {
    this.#command = command;
    this.#ready = ready;
    t.teardown(() => this.kill());
  }

  /** Starts the server, also after kill(), and resolves when it accepts connections. */
  async start(): Promise<void> {
    const [program = '', ...options] = this.#command;
    const child = spawn(program, options, {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      ...pickUser(),
    });
    this.#child = child;
    running.add(this);
    child.once('exit', () => running.delete(this));
    let output = '';
    const ready = new Promise<void>((resolve, reject) => {
      const read = (data: Buffer) => {
        output += data;
        if (output.includes(this.#ready)) resolve();
      };
      child.stdout?.on('data', read);
      child.stderr?.on('data', read);
      child.once('error', reject);
      child.once('exit', () => reject(new Error(`${program} ended:\n${output}`)));
    });
    await ready;
  }

  /** Sends SIGKILL to the server and its child processes; resolves when it has ended. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    this.signal('SIGKILL');
    await ended;
  }

  /** Blocks the server: its connections stay open, and nothing is answered. */
  pause(): void {
    this.signal('SIGSTOP');
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  /** Sends a signal to the server and its child processes. */
  signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (!pid) return;
    // A stopped process starts no further process.
    if (signal !== 'SIGCONT') sendSignal(pid, 'SIGSTOP');
    for (const one of [...listChildren(pid), pid]) sendSignal(one, signal);
  }
}

/** Finds a program, in its newest version. */
export function findProgram(name: string): string {
  const versions = existsSync(DEBIAN_POSTGRES) ? readdirSync(DEBIAN_POSTGRES) : [];
  const folders = versions
    .sort((one, other) => Number(other) - Number(one))
    .map((version) => path.join(DEBIAN_POSTGRES, version, 'bin'));
  const files = [...folders, ...(process.env.PATH ?? '').split(path.delimiter)].map((folder) =>
    path.join(folder, name),
  );
  const program = files.find((file) => existsSync(file));
  if (!program)
    throw new Error(`${name} is not installed: apt-get install postgresql redis-server openssl`);
  return program;
}

/** PostgreSQL refuses to run as root: if the tests do, their servers run as nobody. */
export function pickUser(): User | undefined {
  return process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;
}

/** Changes the owner of a file or folder to the servers' user. */
export function giveToServer(file: string): void {
  const user = pickUser();
  if (user) chownSync(file, user.uid, user.gid);
}

function listChildren(pid: number): number[] {
  const processes = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n');
  const pairs = processes.map((line) => line.trim().split(/\s+/).map(Number));
  return pairs.filter(([, parent]) => parent === pid).map(([child = 0]) => child);
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has ended meanwhile.
  }
}
