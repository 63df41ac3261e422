import { globSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { t } from 'tap';

/**
 * Runs test files in one process, because loading the app takes most of a small file's time. Each
 * file can also run alone. Its tests must pass in any order, and share a process but no state.
 *
 * @param files globs of this folder
 * @param jobs how many tests run concurrently, for tests that mostly wait
 */
export async function runTests(files: string[], jobs = 1): Promise<void> {
  t.jobs = jobs;
  for (const file of globSync(files, { cwd: import.meta.dirname }).sort())
    await import(pathToFileURL(path.join(import.meta.dirname, file)).href);
}
