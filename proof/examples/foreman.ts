import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPort, RunningProcess } from '../processes.ts';

/** How far foreman puts the ports of two process types from each other. */
const PORT_STEP = 100;

/**
 * How long the processes may take to end after SIGTERM, in milliseconds; foreman itself gives them
 * 5 s.
 */
const END_TIMEOUT_MS = 60_000;

/**
 * The ports of a Procfile's first two process types, or of two processes of one type, which nobody
 * listens on.
 */
export async function findForemanPorts(step = PORT_STEP): Promise<[number, number]> {
  for (;;) {
    const port = await findPort();
    if (await isFree(port + step)) return [port, port + step];
  }
}

/**
 * A foreman and all that it has started; disposing of it stops them as Ctrl-C in a terminal would.
 */
export class RunningForeman implements AsyncDisposable {
  readonly process: RunningProcess;
  readonly #killAll = () => this.signal('SIGKILL');

  /** @param command as a shell gets it, in the folder of the Procfile */
  constructor(command: string, folder: string, environment: Record<string, string>) {
    const { PATH, HOME } = process.env;
    // A group of its own, as a terminal makes one: what was started by what was started is in it
    // too.
    this.process = new RunningProcess('setsid', ['sh', '-c', command], {
      folder,
      environment: { PATH, HOME, ...environment },
    });
    process.once('exit', this.#killAll);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGTERM');
    const timer = setTimeout(this.#killAll, END_TIMEOUT_MS);
    await this.process.ended;
    clearTimeout(timer);
    process.off('exit', this.#killAll);
  }

  /** To all of them, as a terminal does. */
  signal(name: NodeJS.Signals): void {
    try {
      process.kill(-this.process.pid, name);
    } catch {
      // All of it has ended.
    }
  }
}

/** Resolves when the app at this URL and all that is attached to it are ready. */
export async function waitUntilReady(url: string, process: RunningProcess): Promise<void> {
  while (!(await isReady(url))) {
    if (process.hasEnded)
      throw new Error(`Ended before ${url} was ready:\n${process.lines.join('\n')}`);
    await sleep(100);
  }
}

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/health/ready`).catch(() => undefined);
  const report = (await answer?.json()) as { status: string } | undefined;
  return report?.status === 'ready';
}

async function isFree(port: number): Promise<boolean> {
  if (port > 65535) return false;
  const server = net.createServer().listen(port, '127.0.0.1');
  const isListening = await once(server, 'listening').then(
    () => true,
    () => false,
  );
  if (isListening) await once(server.close(), 'close');
  return isListening;
}
