import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { test } from 'tap';
import { readLines } from '../../src/lines.ts';

test('A line ends at a line feed, and at the end, but at no other character', async (t) => {
  const text = 'one\u2028\u2029\u0085\r still one\n\ntwo €\nthree';
  // A chunk for each byte cuts characters in two.
  const stream = Readable.from(Array.from(Buffer.from(text), (byte) => Buffer.of(byte)));
  const lines: string[] = [];
  readLines(stream, (line) => lines.push(line));
  await finished(stream);
  t.strictSame(lines, text.split('\n'));
});

test('A text that ends with a line feed has no empty last line', async (t) => {
  const stream = Readable.from([Buffer.from('one\n')]);
  const lines: string[] = [];
  readLines(stream, (line) => lines.push(line));
  await finished(stream);
  t.strictSame(lines, ['one']);
});
