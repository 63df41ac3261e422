import { test } from 'tap';
import { isTooDeep, MAX_DEPTH, readJson } from '../../src/json-limits.ts';

const nest = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;

/** JSON, and whether it has too many levels. */
const DEPTHS: Record<string, [string, boolean]> = {
  'as many levels as allowed': [nest(MAX_DEPTH), false],
  'one level more': [nest(MAX_DEPTH + 1), true],
  'one level more, which never ends': ['['.repeat(MAX_DEPTH + 1), true],
  objects: ['{"a":'.repeat(MAX_DEPTH + 1), true],
  'both in turn': ['{"a":['.repeat(MAX_DEPTH / 2), false],
  'many lists beside each other': [`[${Array(MAX_DEPTH).fill('[]')}]`, false],
  'brackets in a text': [JSON.stringify('['.repeat(2 * MAX_DEPTH)), false],
  'brackets in a text behind an escaped quote': [`["a\\"${'['.repeat(2 * MAX_DEPTH)}"]`, false],
  'brackets behind a text that ends with a backslash': [`["\\\\",${nest(MAX_DEPTH)}]`, true],
};

test('JSON is too deep above the limit only, and brackets in a text do not count', (t) => {
  for (const [name, [json, expected]] of Object.entries(DEPTHS))
    t.equal(isTooDeep(Buffer.from(json)), expected, name);
  t.end();
});

async function* split(text: string, bytes: number) {
  for (let start = 0; start < text.length; start += bytes)
    yield Buffer.from(text.slice(start, start + bytes));
}

test('JSON of another service is limited in bytes, pieces and levels', async (t) => {
  const read = (json: string, bytes = 1_000) => readJson('its answer', split(json, bytes), 30_000);
  t.strictSame(await read('{"a":"é"}', 3), { a: 'é' });
  t.strictSame(await read(`${' '.repeat(19_999)}1`, 1), 1);
  await t.rejects(read(' '.repeat(20_001), 1), {
    message: 'its answer has more than 20000 pieces',
  });
  await t.rejects(read(' '.repeat(30_001)), { message: 'its answer is longer than 30000 bytes' });
  await t.rejects(read('['.repeat(2_000)), { message: 'its answer has more than 1000 levels' });
  await t.rejects(read('{'), { name: 'SyntaxError' });
});
