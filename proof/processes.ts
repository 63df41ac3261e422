import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { readLines } from '../src/lines.ts';

/** The time after SIGTERM until a process is killed, in milliseconds. */
const END_TIMEOUT_MS = 30_000;

const children = new Set<ChildProcess>();
const folders = new Set<string>();

// Kill the processes and delete the folders at the end of a proof, whatever ends it.
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

export interface RunOptions {
  /** The complete environment. */
  environment?: NodeJS.ProcessEnv;
  folder?: string;
  /** The user of the process: some servers refuse to run as root. */
  user?: { uid: number; gid: number } | undefined;
  /** Discards the output; `lines` stays empty. */
  silent?: boolean;
}

export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A program that a proof has started. Disposing sends SIGTERM and waits for its end. */
export class RunningProcess implements AsyncDisposable {
  /** The lines of stdout and stderr. */
  readonly lines: string[] = [];
  /** Resolves when it has ended. */
  readonly ended: Promise<Ending>;
  readonly #child: ChildProcess;
  #heard = Promise.withResolvers<void>();

  constructor(
    command: string,
    args: string[],
    { environment = {}, folder, user, silent }: RunOptions = {},
  ) {
    const child = spawn(command, args, {
      env: environment,
      cwd: folder,
      stdio: ['ignore', silent ? 'ignore' : 'pipe', silent ? 'ignore' : 'pipe'],
      ...user,
    });
    this.#child = child;
    children.add(child);
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) readLines(stream, (line) => this.#hear(line));
    }
    this.ended = this.#end();
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get hasEnded(): boolean {
    return !children.has(this.#child);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Resolves with the first line from index `from` on that contains the text. */
  async waitForLine(text: string, from = 0): Promise<string> {
    for (let position = from; ; position++) {
      while (position >= this.lines.length) {
        if (this.hasEnded)
          throw new Error(`Ended before it said "${text}":\n${this.lines.slice(-20).join('\n')}`);
        await this.#heard.promise;
      }
      if (this.lines[position]!.includes(text)) return this.lines[position]!;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.hasEnded) return;
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), END_TIMEOUT_MS);
    await this.ended;
    clearTimeout(timer);
  }

  async #end(): Promise<Ending> {
    const [code, signal] = await once(this.#child, 'close');
    children.delete(this.#child);
    this.#heard.resolve();
    return { code, signal };
  }

  #hear(line: string): void {
    this.lines.push(line);
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
  }
}

/** Creates a temporary folder, which is deleted at the end of the proof. */
export async function makeFolder(name: string): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), `poort-${name}-`));
  folders.add(folder);
  return folder;
}

/** Finds a free port of the loopback address. */
export async function findPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * Returns an unprivileged user for servers that refuse to run as root; undefined if the proof does
 * not run as root.
 */
export function pickUser(): { uid: number; gid: number } | undefined {
  return process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined;
}

/** Whether a port of the loopback address accepts connections. */
export async function isOpen(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1');
  const open = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return open;
}
