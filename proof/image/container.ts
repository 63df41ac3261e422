import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { RunningProcess } from '../processes.ts';

/** The configuration of an image in Docker's format. */
export interface ImageConfig {
  Cmd: string[];
  Env: string[];
  User: string;
  WorkingDir: string;
  Healthcheck: { Test: string[] };
}

/**
 * Runs in new namespaces with a read-only root. Each program execs the next one, so that the
 * command becomes process 1.
 */
const SCRIPT = `
  set -e
  mount --bind "$ROOT" "$ROOT"
  mount -o remount,ro,bind "$ROOT"
  mount -t proc proc "$ROOT/proc"
  mount --bind /dev "$ROOT/dev"
  exec chroot --userspec="$IDS" "$ROOT" /usr/bin/env -i --chdir="$WORKING_FOLDER" "$@"`;

/** A command in a read-only image, on the machine's own network. */
export class Container extends RunningProcess {
  constructor(
    root: string,
    { User, WorkingDir, Env = [] }: ImageConfig,
    command: string[],
    environment: Record<string, string>,
  ) {
    const isolation = ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', SCRIPT, 'sh'];
    const searched = 'PATH=/usr/local/bin:/usr/bin:/bin';
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    super('unshare', [...isolation, searched, ...Env, ...variables, ...command], {
      environment: {
        PATH: process.env.PATH,
        ROOT: root,
        IDS: User,
        WORKING_FOLDER: WorkingDir,
      },
    });
  }

  /** Reads the program, its pid in its namespace, and its user. */
  readStatus(): Record<string, string | undefined> {
    const folder = `/proc/${this.#findCommand()}`;
    const [command] = readFileSync(`${folder}/cmdline`, 'utf8').split('\0');
    const status = readFileSync(`${folder}/status`, 'utf8');
    const [, pid] = /^NSpid:.*\t(\d+)$/m.exec(status) ?? [];
    const [, uid] = /^Uid:\t(\d+)/m.exec(status) ?? [];
    return { command, pid, uid };
  }

  /** Sends SIGTERM to process 1, as a platform does. */
  stop(): void {
    process.kill(this.#findCommand(), 'SIGTERM');
  }

  /** The only child of `unshare`. */
  #findCommand(): number {
    const children = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8');
    const [child] = children.trim().split(' ');
    assert(child, 'the command does not run');
    return Number(child);
  }
}
