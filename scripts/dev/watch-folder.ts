import { existsSync, type FSWatcher, globSync, watch } from 'node:fs';
import path from 'node:path';

/** Linux limits the watches of each user. Editors and other watchers may use them up. */
const LIMITS: Record<string, string> = {
  ENOSPC: 'fs.inotify.max_user_watches',
  EMFILE: 'fs.inotify.max_user_instances',
};

/**
 * Watches the files of the working directory and of these folders, which may be created later.
 * Calls `onChange` with the path of each changed file.
 */
export function watchFolders(
  folders: string[],
  onChange: (file: string) => void,
  onFailure: (reason: string) => void,
): void {
  const watched = new Map<string, FSWatcher | undefined>();
  const watchAll = (folder: string) => {
    watched.get(folder)?.close();
    const note = (file: string) => onChange(path.join(folder, file));
    watched.set(
      folder,
      existsSync(folder) ? watchFolder(folder, true, note, onFailure) : undefined,
    );
  };
  const onTopChange = (name: string) => {
    onChange(name);
    if (!folders.includes(name)) return;
    watchAll(name);
    // Files that came with the folder were there before it was watched.
    for (const file of globSync(path.join(name, '**'))) onChange(file);
  };
  watchFolder('.', false, onTopChange, onFailure);
  for (const folder of folders) watchAll(folder);
}

/** Calls `onChange` with the name of each changed file, and `onFailure` if it cannot watch. */
export function watchFolder(
  folder: string,
  recursive: boolean,
  onChange: (file: string) => void,
  onFailure: (reason: string) => void,
): FSWatcher | undefined {
  const fail = (error: Error) => onFailure(describeFailure(error));
  try {
    return watch(folder, { recursive }, (_event, file) => onChange(file ?? '')).on('error', fail);
  } catch (error) {
    fail(error as Error);
    return undefined;
  }
}

/** At a limit, Node emits no `error` for a new subfolder: it throws where nobody can catch it. */
export function catchLimits(onFailure: (reason: string) => void): void {
  process.on('uncaughtException', (error: NodeJS.ErrnoException) => {
    if (!LIMITS[error.code ?? '']) throw error;
    onFailure(describeFailure(error));
  });
}

/** Editors write locks and copies beside a file: .store.ts.swp, .#store.ts, #store.ts#, store.ts~. */
export function isTemporary(file: string): boolean {
  return /(^|[\\/])[.#][^\\/]*$|~$/.test(file);
}

function describeFailure({ code = '', message }: NodeJS.ErrnoException): string {
  const limit = LIMITS[code];
  const remedy = limit && `raise the system's limit, as in "sudo sysctl ${limit}=524288"`;
  return `Changes cannot be watched: ${remedy ?? message}.`;
}
