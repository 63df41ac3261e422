import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { linkPackages } from '../docs/copy.ts';
import { createEnvironment, expectSuccess, runCommand } from '../docs/shell.ts';

/** A temporary repository, in which commands run as its owner types them. */
export class Repository {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Initializes the folder as a repository. */
  async init(message: string): Promise<void> {
    await this.run('git init --quiet --initial-branch main');
    this.ignorePackages();
    await this.commit(message);
  }

  /** Clones the repository with its current history. */
  async clone(folder: string): Promise<Repository> {
    await this.run(`git clone --quiet . ${folder}`);
    const clone = new Repository(folder);
    clone.ignorePackages();
    await linkPackages(folder);
    return clone;
  }

  async commit(message: string): Promise<void> {
    await this.run('git add --all');
    await this.run(`git commit --quiet --message "${message}"`);
  }

  /** @throws if the command does not end with 0 */
  run(command: string): Promise<string> {
    return expectSuccess(this.folder, command, this.#environment);
  }

  /** Runs a command that may fail. */
  try(command: string): Promise<{ code: number | null; output: string }> {
    return runCommand(this.folder, command, this.#environment);
  }

  read(file: string): string {
    return readFileSync(path.join(this.folder, file), 'utf8');
  }

  write(file: string, text: string): void {
    writeFileSync(path.join(this.folder, file), text);
  }

  /** @throws if the old text does not exist */
  replace(file: string, old: string, text: string): void {
    if (!this.read(file).includes(old))
      throw new Error(`${file} does not contain the text to change: ${old}`);
    this.write(file, this.read(file).replace(old, text));
  }

  /** .gitignore names a folder, but node_modules is a link here. */
  ignorePackages(): void {
    appendFileSync(path.join(this.folder, '.git/info/exclude'), 'node_modules\n');
  }

  get #environment(): NodeJS.ProcessEnv {
    const owner = { NAME: 'Owner', EMAIL: 'owner@example.com' };
    const identity = ['AUTHOR', 'COMMITTER'].flatMap((role) =>
      Object.entries(owner).map(([key, value]) => [`GIT_${role}_${key}`, value]),
    );
    const isolation = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
    // npm may only change package.json and the lock file: the packages are shared.
    const npm = { npm_config_package_lock_only: 'true' };
    const environment = createEnvironment(this.folder);
    return { ...environment, ...Object.fromEntries(identity), ...isolation, ...npm };
  }
}
