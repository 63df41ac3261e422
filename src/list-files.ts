import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Whether a file has code: neither a hidden file, nor one of types alone. */
export function isCode(name: string): boolean {
  return /^[^.].*(?<!\.d)\.[cm]?[jt]s$/.test(name);
}

/** Lists the files and the subfolders' index files. Throws if a subfolder with files has none. */
export function listFiles(folder: URL): URL[] {
  const dir = fileURLToPath(folder);
  // The folder may be missing: Git does not keep it after its last file is removed.
  // After an asynchronous recursive one, Node 26 swallows what a plugin throws when it is registered.
  const options = { encoding: 'utf8', recursive: true } as const;
  const names = existsSync(folder) ? readdirSync(folder, options) : [];
  const files = names.map((name) => name.replaceAll('\\', '/')).filter(isCode);
  const loaded = files.filter((name) => /^[^/]+(\/index\.[cm]?[jt]s)?$/.test(name));
  const places = new Set(loaded.map((name) => path.dirname(name)));
  const lost = files.find((name) => name.includes('/') && !places.has(name.split('/')[0]!));
  if (lost)
    throw new Error(
      `${path.join(dir, lost)} is not loaded: add an index.ts to its folder, or move it to ${dir}`,
    );
  return loaded.map((name) => pathToFileURL(path.join(dir, name)));
}
