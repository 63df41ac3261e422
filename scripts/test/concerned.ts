import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Finds the tests of changed files: the file itself if it is a test, those at its path in test/
 * (test/routes/notes* for routes/notes/store.ts), and those that import the file.
 */
export function findConcerned(changed: string[]): string[] {
  const tests = globSync('test/*/**/*.test.ts').filter((test) => !test.includes('services'));
  return tests.filter((test) => changed.some((file) => isConcerned(test, file))).sort();
}

function isConcerned(test: string, file: string): boolean {
  if (test === file || imports(test, file)) return true;
  return !file.startsWith('test/') && isMirror(test, file);
}

function isMirror(test: string, file: string): boolean {
  const [folder = '', name = ''] = file.split('/');
  return test.startsWith(`test/${folder}/${path.basename(name, '.ts')}`);
}

function imports(test: string, file: string): boolean {
  const names = Array.from(readFileSync(test, 'utf8').matchAll(/'(\.[^'\n]+\.ts)'/g), ([, name]) =>
    path.posix.join(path.posix.dirname(test), name ?? ''),
  );
  return names.includes(file);
}
