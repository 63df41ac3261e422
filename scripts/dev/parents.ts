import { spawnSync } from 'node:child_process';

const CHECK_EVERY_MS = 500;

/** Calls back when npm, or the shell in which npm runs this script, has ended. */
export function onParentEnd(callback: () => void): void {
  const parents = listParents();
  const timer = setInterval(() => {
    if (parents.every(isRunning)) return;
    clearInterval(timer);
    callback();
  }, CHECK_EVERY_MS);
  timer.unref();
}

/** The parent, and npm if the parent is npm's shell: the shell stays if npm is killed. */
function listParents(): number[] {
  const parent = process.ppid;
  const { stdout } = spawnSync('ps', ['-o', 'ppid=,comm=', '-p', `${parent}`], {
    encoding: 'utf8',
  });
  const [, grandparent, name = ''] = /^\s*(\d+)\s+(\S+)/.exec(stdout ?? '') ?? [];
  const isNpmShell = process.env.npm_lifecycle_event && /(^|\/)\w*sh$/.test(name);
  return isNpmShell ? [parent, Number(grandparent)] : [parent];
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
