import { globSync } from 'node:fs';
import path from 'node:path';

/**
 * Runs the tests of a folder in one process, one file after the other: most of what a small file takes is loading the
 * app. Each of them can still be run alone, and has to pass wherever it comes: tests share a process, and no state.
 */
export async function runTests(folder: string): Promise<void> {
  for (const file of globSync(`${folder}/**/*.test.ts`, { cwd: import.meta.dirname }).sort())
    await import(path.join(import.meta.dirname, file));
}
