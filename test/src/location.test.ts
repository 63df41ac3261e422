import { test } from 'tap';
import { locate } from '../../src/location.ts';

/** Requested URLs, and the place of the new note. */
const PLACES: Record<string, string> = {
  '/notes': '/notes/1',
  '/notes/': '/notes/1',
  '/notes?after=/': '/notes/1',
  '/notes/?a=b/c': '/notes/1',
  '/notes#a/b': '/notes/1',
  '/people/7/notes': '/people/7/notes/1',
  '/books/urn:isbn:1': '/books/urn:isbn:1/1',
  '/people/a@b:7/token=1': '/people/a@b:7/token=1/1',
};

for (const [url, place] of Object.entries(PLACES)) {
  test(`POST ${url} answers Location ${place}, below every prefix`, async (t) => {
    const location = locate({ url }, '1');
    for (const prefix of ['', '/api', '/a/b']) {
      const found = new URL(location, `https://example.com${prefix}${url}`);
      t.equal(found.href, `https://example.com${prefix}${place}`);
    }
  });
}

test('POST on a path that the log shortens answers the whole name', async (t) => {
  t.equal(locate({ url: `/${'x'.repeat(400)}/${'y'.repeat(400)}` }, '1'), `${'y'.repeat(400)}/1`);
});
