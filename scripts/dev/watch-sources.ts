import { EventEmitter } from 'node:events';
import { existsSync, type FSWatcher } from 'node:fs';
import path from 'node:path';
import { SETTINGS } from './settings.ts';
import { catchLimits, isTemporary, watchFolder, watchFolders } from './watch-folder.ts';

const FOLDERS = ['src', 'plugins', 'routes', 'jobs'];

const PACKAGES = 'node_modules';

/** npm writes this file when it has installed all packages. */
const INSTALLED = '.package-lock.json';

/**
 * Emits `change` after a change of a source, the settings or the packages. Before that, it emits
 * `environment` for a change of the settings or packages, which a process reads before the sources.
 *
 * @param warn called once if the system cannot watch
 */
export function watchSources(warn: (message: string) => void): EventEmitter {
  const changes = new EventEmitter();
  let packages: FSWatcher | undefined;
  let warned = false;
  const fail = (reason: string) => {
    if (!warned) warn(`${reason} Until then, restart by hand.`);
    warned = true;
  };
  catchLimits(fail);
  const renew = () => {
    changes.emit('environment');
    changes.emit('change');
  };
  const onChange = (file: string) => {
    const [folder = ''] = file.split(path.sep);
    if (SETTINGS.includes(file)) renew();
    else if (file === PACKAGES) watchPackages();
    else if (FOLDERS.includes(folder) && !isTemporary(file)) changes.emit('change');
  };
  const onInstall = (file: string) => {
    if (file === INSTALLED && existsSync(path.join(PACKAGES, file))) renew();
  };
  // A folder that is removed and made again is another one. In a workspace, it may be elsewhere.
  const watchPackages = () => {
    packages?.close();
    packages = existsSync(PACKAGES) ? watchFolder(PACKAGES, false, onInstall, fail) : undefined;
  };
  watchFolders(FOLDERS, onChange, fail);
  watchPackages();
  return changes;
}
