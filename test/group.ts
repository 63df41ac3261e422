import { globSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { t } from 'tap';

/** A test takes up to 30 s on a busy machine. One that hangs is named, and the others go on. */
const TIMEOUT_MS = 300_000;

/**
 * Runs test files in one process, because loading the app takes most of a small file's time. Each
 * file can also run alone. Its tests must pass in any order, and share a process but no state.
 *
 * @param files globs of this folder
 * @param jobs how many tests run concurrently, for tests that mostly wait
 */
export async function runTests(files: string[], jobs = 1): Promise<void> {
  t.jobs = jobs;
  t.beforeEach((t) => t.setTimeout(TIMEOUT_MS));
  for (const file of globSync(files, { cwd: import.meta.dirname }).sort())
    await import(pathToFileURL(path.join(import.meta.dirname, file)).href);
}
