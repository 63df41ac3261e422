import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningProcess } from '../processes.ts';
import { type Attempt, Load, Monitor } from './load.ts';
import { type RouterName, type RouterOptions, startRouter } from './router.ts';
import { type Program, readPorts, startProgram } from './web.ts';

/**
 * The interval of a router's readiness checks, in milliseconds. Platforms use a second, and a
 * longer delay.
 */
export const HEALTH_INTERVAL_MS = 100;

export interface RollingRestart {
  router: RouterName;
  programs: [Program, Program];
  restarts: number;
  /** The times of SIGTERM, in milliseconds after the first one. */
  signalsAtMs: number[];
  /** Identifies the requests of this restart. */
  prefix: string;
  change?: RouterOptions['change'];
}

/** The result of a rolling restart. */
export interface Outcome {
  attempts: Attempt[];
  routerLines: string[];
  /** The log lines of the processes. */
  appLines: string[];
}

/** Restarts two processes behind a router in turn, while clients send requests. */
export async function restartInTurn(options: RollingRestart): Promise<Outcome> {
  const { programs, restarts, signalsAtMs, prefix } = options;
  const apps = readPorts(programs);
  const appLines: string[] = [];
  await using stack = new AsyncDisposableStack();
  const running: RunningProcess[] = [];
  stack.defer(
    async () => void (await Promise.all(running.map((process) => process[Symbol.asyncDispose]()))),
  );
  for (const program of programs) running.push(await startProgram(program));
  const router = stack.use(
    await startRouter(options.router, {
      apps,
      healthIntervalMs: HEALTH_INTERVAL_MS,
      ...(options.change && { change: options.change }),
    }),
  );
  const load = new Load(`http://127.0.0.1:${router.port}`, prefix);
  const monitor =
    options.router === 'nginx' ? new Monitor(`http://127.0.0.1:${router.port}`) : undefined;
  for (const process of running) await process.waitForLine(prefix);

  for (let restart = 0; restart < restarts; restart++) {
    const index = restart % 2;
    await stopWithSignals(running[index]!, signalsAtMs);
    appLines.push(...running[index]!.lines);
    running[index] = await startProgram(programs[index]!);
    // A request of the load shows that the router uses the process again.
    await running[index].waitForLine(prefix);
  }

  await load.stop();
  await monitor?.stop();
  for (const process of running) appLines.push(...process.lines);
  return { attempts: load.attempts, routerLines: router.process.lines, appLines };
}

async function stopWithSignals(running: RunningProcess, signalsAtMs: number[]): Promise<void> {
  let at = 0;
  for (const next of signalsAtMs) {
    await sleep(next - at);
    at = next;
    if (!running.hasEnded) running.signal('SIGTERM');
  }
  const { code, signal } = await running.ended;
  if (code !== 0)
    throw new Error(
      `Ended with ${code ?? signal} after SIGTERM:\n${running.lines.slice(-10).join('\n')}`,
    );
}
