import { globSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { t } from 'tap';

/**
 * Runs tests in one process: most of what a small file takes is loading the app. Each file can
 * still be run alone, and its tests have to pass wherever they come: they share a process, and no
 * state.
 *
 * @param files globs of this folder
 * @param jobs how many tests run at the same time, where they wait for others most of the time
 */
export async function runTests(files: string[], jobs = 1): Promise<void> {
  t.jobs = jobs;
  for (const file of globSync(files, { cwd: import.meta.dirname }).sort())
    await import(pathToFileURL(path.join(import.meta.dirname, file)).href);
}
