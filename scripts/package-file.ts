import { findPackageJSON } from 'node:module';
import path from 'node:path';

/** Finds a file of a package. In a workspace, node_modules is in a parent folder. */
export function findPackageFile(name: string, file: string): string {
  return path.join(findPackageJSON(name, import.meta.url)!, '..', file);
}
