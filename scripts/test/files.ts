import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

/** Matches a test that runs the built app. */
const RUNS_BUILD = /\b(start|spawn)Process\(|\bcopyBuild\(|services\//;

const SOURCES = '{package.json,tsconfig*.json,scripts/build.ts,{src,plugins,routes,jobs}/**/*.*}';

/** Finds the test files of paths, folders and globs, each once. Throws at a path without tests. */
export function findTests(patterns: string[]): string[] {
  const files = patterns.flatMap((pattern) => {
    const found = globSync(isFolder(pattern) ? `${pattern}/**/*.test.ts` : pattern);
    if (found.length === 0) throw new Error(`There is no test at ${pattern}.`);
    return found.sort();
  });
  return [...new Set(files)];
}

function isFolder(name: string): boolean {
  return existsSync(name) && statSync(name).isDirectory();
}

/** Whether one of the tests runs the built app, and the build is older than the sources. */
export function isBuildNeeded(tests: string[]): boolean {
  return (
    tests.some((file) => RUNS_BUILD.test(path.resolve(file) + readFileSync(file, 'utf8'))) &&
    !isBuilt()
  );
}

function isBuilt(): boolean {
  if (!existsSync('dist/src/web.js')) return false;
  const builtAt = statSync('dist/src/web.js').mtimeMs;
  return globSync(SOURCES).every((file) => statSync(file).mtimeMs <= builtAt);
}
