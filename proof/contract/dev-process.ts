import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, symlink } from 'node:fs/promises';
import path from 'node:path';
import type { Test } from 'tap';
import { createFolder, ROOT } from '../../test/helper.ts';

const SOURCES = ['src', 'plugins', 'routes', 'scripts', 'package.json', '.env.example'];

/** Copies the sources, to edit them. */
export async function copySources(t: Test): Promise<string> {
  const folder = await createFolder(t);
  for (const name of SOURCES)
    await cp(path.join(ROOT, name), path.join(folder, name), { recursive: true });
  await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  return folder;
}

/** Runs the script as a terminal does: in its own process group, which gets Ctrl-C. */
export function startDev(
  t: Test,
  folder: string,
  environment: Record<string, string>,
  nodeArguments: string[] = [],
) {
  const variables = {
    PATH: process.env.PATH,
    HOME: folder,
    npm_config_update_notifier: 'false',
    ...environment,
  };
  const empty = ['-i', ...Object.entries(variables).map(([name, value]) => `${name}=${value}`)];
  const child = spawn('env', [...empty, 'npm', 'run', 'dev', '--', ...nodeArguments], {
    cwd: folder,
    detached: true,
  });
  const group = -(child.pid ?? 0);
  const output: string[] = [];
  child.stdout.on('data', (data) => output.push(String(data)));
  child.stderr.on('data', (data) => output.push(String(data)));
  const exited = once(child, 'close');
  t.teardown(() => isRunning(group) && process.kill(group, 'SIGKILL'));
  return { exited, group, readOutput: () => output.join('') };
}

export function isServed(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}

/** Finds the process of the group with this command line. */
export function findProcess(group: number, command: RegExp): number {
  const lines = execFileSync('ps', ['-eo', 'pid=,pgid=,args='], { encoding: 'utf8' }).split('\n');
  const found = lines
    .map((line) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [])
    .find(([, , owner, args = '']) => Number(owner) === group && command.test(args));
  return Number(found?.[1]);
}

export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
