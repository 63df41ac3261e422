import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { runApp } from '../app.ts';
import { RunningProcess } from '../processes.ts';

/** The maximum time until a process is ready, in milliseconds. */
const START_TIMEOUT_MS = 300_000;

/** An HTTP server with its own port, which restarts start again. */
export interface Program {
  /** The arguments of Node. */
  args: string[];
  folder?: string;
  environment: NodeJS.ProcessEnv & { PORT: string };
}

/** The ports of the two programs behind a router. */
export function readPorts([one, other]: [Program, Program]): [number, number] {
  return [Number(one.environment.PORT), Number(other.environment.PORT)];
}

/** Starts a program and waits until it is ready, without a router. */
export async function startProgram({
  args,
  folder,
  environment,
}: Program): Promise<RunningProcess> {
  const running = new RunningProcess(process.execPath, args, {
    environment,
    ...(folder && { folder }),
  });
  const deadline = performance.now() + START_TIMEOUT_MS;
  while ((await readStatus(`http://127.0.0.1:${environment.PORT}/health/ready`)) !== 200) {
    if (running.hasEnded || performance.now() > deadline)
      throw new Error(`Not ready:\n${running.lines.join('\n')}`);
    await sleep(50);
  }
  return running;
}

/** Returns the status of a GET on a new connection. */
export async function readStatus(url: string): Promise<number | undefined> {
  const request = http.get(url, { agent: false });
  try {
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    response.resume();
    await once(response, 'close');
    return response.statusCode;
  } catch {
    return undefined;
  }
}

/** Applies the migrations of the app to a database, as the `release` process does. */
export async function release(url: string): Promise<void> {
  const release = runApp('release', { DATABASE_URL: url });
  const { code } = await release.ended;
  if (code !== 0) throw new Error(`release ended with ${code}:\n${release.lines.join('\n')}`);
}
