import { test } from 'tap';
import { buildTestApp, DOWN } from '../helper.ts';

test('GET /docs has a content security policy of its own and the common headers', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  const page = await app.inject('/docs');
  t.match(page.headers, { 'x-content-type-options': 'nosniff', 'x-frame-options': 'SAMEORIGIN' });
  t.match(page.headers['content-security-policy'], "script-src 'self'");
  const assets = [...page.body.matchAll(/(?:src|href)="(docs[^"]+)"/g)].map(
    ([, asset]) => `/${asset}`,
  );
  t.equal(assets.length, 3);
  for (const url of [...assets, '/openapi.json']) {
    const { headers } = await app.inject(url);
    t.match(headers['content-security-policy'], /^default-src 'none';(?!.*-src)/, url);
  }
});
