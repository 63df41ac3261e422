import { test } from 'tap';
import { formats } from '../../../plugins/env/formats.ts';

test('A list of pairs is percent-encoded, and headers are those that HTTP can send', (t) => {
  const lists: [list: string, isPairs: boolean, isHeaders: boolean][] = [
    ['a=1, b=%C3%A9', true, true],
    ['authorization=Basic YTpi==', true, true],
    ['a=1%0Ab', true, false],
    ['a(b=1', true, false],
    ['a=%C3', false, false],
    ['a=1,b', false, false],
    ['', false, false],
  ];
  for (const [list, isPairs, isHeaders] of lists)
    t.strictSame([formats.pairs(list), formats.headers(list)], [isPairs, isHeaders], list);
  t.end();
});
