import { chmod, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findPort, isOpen, makeFolder, pickUser, RunningProcess } from '../processes.ts';

/** Debian's folder of server programs is not on each user's PATH. */
const SEARCH = `${process.env.PATH}:/usr/sbin`;

/** Debian's folder of Apache's modules. */
const APACHE_MODULES = '/usr/lib/apache2/modules';

/** The routers: their configuration, and how to start them in the foreground. */
const ROUTERS = {
  haproxy: { template: 'haproxy.cfg', command: ['haproxy', '-db', '-f'] },
  nginx: { template: 'nginx.conf', command: ['nginx', '-c'] },
  apache: { template: 'apache.conf', command: ['apache2', '-D', 'FOREGROUND', '-f'] },
  caddy: { template: 'Caddyfile', command: ['caddy', 'run', '--adapter', 'caddyfile', '--config'] },
};

export type RouterName = keyof typeof ROUTERS;

export const ROUTER_NAMES = Object.keys(ROUTERS) as RouterName[];

export interface RouterOptions {
  /** The ports of the two processes behind it. */
  apps: [number, number];
  /** The interval of its readiness checks, in milliseconds, if it has any. */
  healthIntervalMs: number;
  /** Changes the configuration, to test another setting. */
  change?: (configuration: string) => string;
}

/** A running router. Disposing ends it. */
export interface Router extends AsyncDisposable {
  port: number;
  process: RunningProcess;
}

/** Starts a router and waits until it accepts connections. */
export async function startRouter(name: RouterName, options: RouterOptions): Promise<Router> {
  const { template, command } = ROUTERS[name];
  const folder = await makeFolder(name);
  await chmod(folder, 0o777);
  const port = await findPort();
  const file = path.join(folder, template);
  const configuration = await fillIn(template, folder, port, options);
  await writeFile(file, options.change?.(configuration) ?? configuration);
  const [program, ...args] = command as [string, ...string[]];
  const environment = { PATH: SEARCH, HOME: folder };
  const router = new RunningProcess(program, [...args, file], {
    environment,
    folder,
    user: pickUser(),
  });
  while (!(await isOpen(port))) {
    if (router.hasEnded) throw new Error(`${name} did not start:\n${router.lines.join('\n')}`);
    await sleep(50);
  }
  return { port, process: router, [Symbol.asyncDispose]: () => router[Symbol.asyncDispose]() };
}

async function fillIn(
  template: string,
  folder: string,
  port: number,
  options: RouterOptions,
): Promise<string> {
  const values: Record<string, string | number> = {
    PORT: port,
    APP1: options.apps[0],
    APP2: options.apps[1],
    FOLDER: folder,
    HEALTH_INTERVAL_MS: options.healthIntervalMs,
    MODULES: APACHE_MODULES,
  };
  const text = await readFile(new URL(template, import.meta.url), 'utf8');
  return text.replaceAll(/\{\{(\w+)\}\}/g, (_all, name) => String(values[name]));
}
