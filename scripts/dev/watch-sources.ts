import { EventEmitter } from 'node:events';
import { existsSync, type FSWatcher, watch } from 'node:fs';
import { SETTINGS } from './settings.ts';

const FOLDERS = ['src', 'plugins', 'routes', 'jobs'];

/** What a process has read before it loads a source: its settings and packages. */
const ENVIRONMENT = [...SETTINGS, 'package-lock.json'];

const LIMITS: Record<string, string> = {
  ENOSPC: 'fs.inotify.max_user_watches',
  EMFILE: 'fs.inotify.max_user_instances',
};

/**
 * Emits `change` when a source, a file of settings or the installed packages change, and
 * `environment` before it where it is no source. Folders may appear later.
 *
 * @param warn is told once where the system does not watch
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
  const watchSource = (folder: string) => watchFolder(folder, true, () => changes.emit('change'));
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

/** Linux allows a number of watches for each user, which editors and other watchers use up. */
export function describeFailure({ code = '', message }: NodeJS.ErrnoException): string {
  const limit = LIMITS[code];
  const remedy = limit
    ? `The system allows no more: raise ${limit}, as in "sudo sysctl ${limit}=524288".`
    : message;
  return `Changes are not seen, start again by hand. ${remedy}`;
}
