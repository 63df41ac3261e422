import { globSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Applies a `diff` block of the documentation: below the name of each file, the lines that are
 * there (blank or -) are replaced by those that are to be (blank or +). A line @@ starts another
 * place in the same file.
 *
 * @returns the names of the files
 */
export function applyPatch(folder: string, lines: string[]): string[] {
  const starts = lines.flatMap((line, index) => (/^[ +-]/.test(line) ? [] : [index]));
  let file = '';
  const files = starts.map((start, index) => {
    const name = lines[start]!;
    // The name may be a glob: a migration's name begins with the time of its creation.
    if (name !== '@@') [file = name] = globSync(name, { cwd: folder });
    replaceLines(path.join(folder, file), lines.slice(start + 1, starts[index + 1]));
    return file;
  });
  return [...new Set(files)];
}

function replaceLines(file: string, change: string[]): void {
  const text = readFileSync(file, 'utf8');
  const old = pickLines(change, '-');
  const parts = text.split(old);
  if (parts.length !== 2)
    throw new Error(`found ${parts.length - 1} times instead of once in ${file}:\n${old}`);
  writeFileSync(file, parts.join(pickLines(change, '+')));
}

/** The lines without their mark in the first column. */
function pickLines(change: string[], mark: string): string {
  const lines = change.filter((line) => line.startsWith(' ') || line.startsWith(mark));
  return lines.map((line) => `${line.slice(1)}\n`).join('');
}
