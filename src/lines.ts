import type { Readable } from 'node:stream';

/** A line ends at \n alone: readline also ends one at U+2028 and U+2029, which JSON may contain. */
export function readLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const line of lines) onLine(line);
  });
  stream.once('end', () => rest && onLine(rest));
}
