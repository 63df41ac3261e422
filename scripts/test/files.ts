import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

/** Matches a test that runs the built app. */
const RUNS_BUILD = /\b(start|spawn)Process\(|\bcopyBuild\(/;

/** Not in `npm test -- test`: these run the other files, or need servers. */
const SEPARATE = ['test/*.test.ts', 'test/services/**'];

/** Finds the test files of paths, folders and globs, each once. Throws at a path without tests. */
export function findTests(patterns: string[]): string[] {
  const files = patterns.flatMap((pattern) => {
    const found = findFiles(pattern);
    if (found.length === 0) throw new Error(`There is no test at ${pattern}.`);
    return found.sort();
  });
  return [...new Set(files)];
}

function findFiles(pattern: string): string[] {
  const name = path.relative('', pattern) || '.';
  if (!existsSync(name) || !statSync(name).isDirectory())
    return globSync(pattern).filter((file) => file.endsWith('.test.ts'));
  return globSync(`${name}/**/*.test.ts`, { exclude: name === 'test' ? SEPARATE : [] });
}

/** Whether one of the tests runs the built app. */
export function isBuildNeeded(tests: string[]): boolean {
  return tests.some((file) => isServiceTest(file) || RUNS_BUILD.test(readFileSync(file, 'utf8')));
}

function isServiceTest(file: string): boolean {
  return path.dirname(path.relative('', file)) === path.join('test', 'services');
}
