import { EventEmitter } from 'node:events';
import { existsSync, type FSWatcher, watch } from 'node:fs';
import { SETTINGS } from './settings.ts';

const FOLDERS = ['src', 'plugins', 'routes', 'jobs'];

/** Files that a process reads before it loads a source: the settings and the packages. */
const ENVIRONMENT = [...SETTINGS, 'package-lock.json'];

const LIMITS: Record<string, string> = {
  ENOSPC: 'fs.inotify.max_user_watches',
  EMFILE: 'fs.inotify.max_user_instances',
};

/**
 * Emits `change` after a change of a source, the settings or the packages. Before that, it emits
 * `environment` for a change of the settings or packages. Folders may be created later.
 *
 * @param warn called once if the system cannot watch
 */
export function watchSources(warn: (message: string) => void): EventEmitter {
  const changes = new EventEmitter();
  const watched = new Map<string, FSWatcher>();
  let warned = false;
  const fail = (error: NodeJS.ErrnoException) => {
    if (!warned) warn(describeFailure(error));
    warned = true;
  };
  const watchFolder = (folder: string, recursive: boolean, listener: (file: string) => void) => {
    try {
      const watcher = watch(folder, { recursive }, (_event, file) => listener(file ?? ''));
      watched.set(folder, watcher.on('error', fail));
    } catch (error) {
      fail(error as NodeJS.ErrnoException);
    }
  };
  const watchSource = (folder: string) =>
    watchFolder(folder, true, (file) => isTemporary(file) || changes.emit('change'));
  watchFolder('.', false, (file) => {
    if (ENVIRONMENT.includes(file)) {
      changes.emit('environment');
      changes.emit('change');
    }
    if (!FOLDERS.includes(file)) return;
    watched.get(file)?.close();
    watched.delete(file);
    if (existsSync(file)) watchSource(file);
    changes.emit('change');
  });
  for (const folder of FOLDERS.filter((name) => existsSync(name))) watchSource(folder);
  return changes;
}

/** Editors write locks and copies beside a file: .store.ts.swp, .#store.ts, #store.ts#, store.ts~. */
export function isTemporary(file: string): boolean {
  return /(^|[\\/])[.#][^\\/]*$|~$/.test(file);
}

/** Linux limits the watches of each user. Editors and other watchers may use them up. */
export function describeFailure({ code = '', message }: NodeJS.ErrnoException): string {
  const limit = LIMITS[code];
  const remedy = limit
    ? `The system's limit is reached: raise it, as in "sudo sysctl ${limit}=524288".`
    : message;
  return `Changes cannot be watched: restart by hand. ${remedy}`;
}
