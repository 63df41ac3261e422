import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Debian's buildah with a temporary store, without a daemon and without mounting layers. */
export class Buildah {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @returns the command's stdout */
  async run(command: string, ...args: string[]): Promise<string> {
    const run = path.join(this.#folder, 'run');
    await mkdir(run, { recursive: true });
    const store = ['--root', path.join(this.#folder, 'store'), '--runroot', run];
    const options = ['--storage-driver', 'vfs', ...store, command, ...args];
    const { stdout } = await execute('buildah', options, {
      env: { PATH: process.env.PATH, HOME: this.#folder },
      maxBuffer: 1e8,
    });
    return stdout;
  }
}
