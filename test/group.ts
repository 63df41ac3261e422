import { globSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * Runs the tests of a folder in one process, one file after the other: most of what a small file takes is loading the
 * app. Each of them can still be run alone, and has to pass wherever it comes: tests share a process, and no state.
 */
export async function runTests(folder: string): Promise<void> {
  const files = globSync(`${folder}/**/*.test.ts`, { cwd: import.meta.dirname }).sort();
  for (const file of files) await import(pathToFileURL(path.join(import.meta.dirname, file)).href);
}
