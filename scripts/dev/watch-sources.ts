import { EventEmitter } from 'node:events';
import { existsSync, type FSWatcher } from 'node:fs';
import { SETTINGS } from './settings.ts';
import { catchLimits, isTemporary, watchFolder } from './watch-folder.ts';

const FOLDERS = ['src', 'plugins', 'routes', 'jobs'];

/** Files that a process reads before it loads a source: the settings and the packages. */
const ENVIRONMENT = [...SETTINGS, 'package-lock.json'];

/**
 * Emits `change` after a change of a source, the settings or the packages. Before that, it emits
 * `environment` for a change of the settings or packages. Folders may be created later.
 *
 * @param warn called once if the system cannot watch
 */
export function watchSources(warn: (message: string) => void): EventEmitter {
  const changes = new EventEmitter();
  const watched = new Map<string, FSWatcher | undefined>();
  let warned = false;
  const fail = (reason: string) => {
    if (!warned) warn(`${reason} Until then, restart by hand.`);
    warned = true;
  };
  catchLimits(fail);
  const watchSource = (folder: string) => {
    const onChange = (file: string) => void (isTemporary(file) || changes.emit('change'));
    watched.set(folder, watchFolder(folder, true, onChange, fail));
  };
  const onTopChange = (file: string) => {
    if (ENVIRONMENT.includes(file)) {
      changes.emit('environment');
      changes.emit('change');
    }
    if (!FOLDERS.includes(file)) return;
    watched.get(file)?.close();
    watched.delete(file);
    if (existsSync(file)) watchSource(file);
    changes.emit('change');
  };
  watchFolder('.', false, onTopChange, fail);
  for (const folder of FOLDERS.filter((name) => existsSync(name))) watchSource(folder);
  return changes;
}
