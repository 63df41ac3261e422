import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Finds the tests of changed files: the file itself if it is a test, those at its path in test/
 * (test/routes/notes* for routes/notes/store.ts), and those that import or name the file. For any
 * other source, it finds all tests of the folder: those of test/jobs for jobs/expire-notes.ts.
 */
export function findConcerned(changed: string[]): string[] {
  const tests = globSync('test/*/**/*.test.ts')
    .map(usePosixPath)
    .filter((test) => !test.startsWith('test/services/'));
  const found = changed.map(usePosixPath).flatMap((file) => {
    const concerned = tests.filter((test) => isConcerned(test, file));
    return concerned.length > 0 ? concerned : tests.filter((test) => isInFolder(test, file));
  });
  return [...new Set(found)].sort();
}

/** Windows has backslashes. */
function usePosixPath(file: string): string {
  return file.replaceAll('\\', '/');
}

function isConcerned(test: string, file: string): boolean {
  if (test === file || imports(test, file)) return true;
  return !file.startsWith('test/') && isMirror(test, file);
}

function isMirror(test: string, file: string): boolean {
  const [folder = '', name = ''] = file.split('/');
  return test.startsWith(`test/${folder}/${path.parse(name).name}`);
}

/** Whether a test imports a file, or runs it by its path. */
function imports(test: string, file: string): boolean {
  const text = readFileSync(test, 'utf8');
  const names = Array.from(text.matchAll(/'(\.[^'\n]+\.ts)'/g), ([, name]) =>
    path.posix.join(path.posix.dirname(test), name ?? ''),
  );
  return names.includes(file) || text.includes(`'${file}'`);
}

function isInFolder(test: string, file: string): boolean {
  return test.startsWith(`test/${file.split('/', 1)}/`);
}
