import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPort, RunningProcess } from '../processes.ts';

/** The distance between foreman's ports of two process types. */
const PORT_STEP = 100;

/** The maximum time to end after SIGTERM, in milliseconds; foreman itself grants 5 s. */
const END_TIMEOUT_MS = 60_000;

/** Finds free ports for a Procfile's first two process types, or for two processes of one type. */
export async function findForemanPorts(step = PORT_STEP): Promise<[number, number]> {
  for (;;) {
    const port = await findPort();
    if (await isFree(port + step)) return [port, port + step];
  }
}

/** A foreman and its processes. Disposing stops them as Ctrl-C in a terminal would. */
export class RunningForeman implements AsyncDisposable {
  readonly process: RunningProcess;
  readonly #killAll = () => this.signal('SIGKILL');

  /** @param command a shell command, run in the folder of the Procfile */
  constructor(command: string, folder: string, environment: Record<string, string>) {
    const { PATH, HOME } = process.env;
    // A process group, as a terminal makes one: it includes all descendants.
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

  /** Signals all processes, as a terminal does. */
  signal(name: NodeJS.Signals): void {
    try {
      process.kill(-this.process.pid, name);
    } catch {
      // All processes have ended already.
    }
  }
}

/** Resolves when the app at this URL and its attached services are ready. */
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
