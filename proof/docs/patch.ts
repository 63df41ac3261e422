import { globSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Does what a `diff` block of the README asks of a reader: under the name of each file, the lines
 * that are there (blank or -) give way to those that are to be (blank or +). More of the same file
 * follows on a line @@.
 *
 * @returns the names of the files
 */
export function applyPatch(folder: string, lines: string[]): string[] {
  const starts = lines.flatMap((line, index) => (/^[ +-]/.test(line) ? [] : [index]));
  let file = '';
  const files = starts.map((start, index) => {
    const name = lines[start]!;
    // A migration's name begins with the time at which it was written.
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
    throw new Error(`${parts.length - 1} times in ${file}, and not once:\n${old}`);
  writeFileSync(file, parts.join(pickLines(change, '+')));
}

/** A line without its mark, which stands in the column before it. */
function pickLines(change: string[], mark: string): string {
  const lines = change.filter((line) => line.startsWith(' ') || line.startsWith(mark));
  return lines.map((line) => `${line.slice(1)}\n`).join('');
}
