import { test } from 'tap';
import { buildTestApp } from '../helper.ts';

test('A page of another origin can read its RateLimit and Retry-After headers', async (t) => {
  const origin = 'https://example.com';
  const app = await buildTestApp(t, { CORS_ORIGIN: origin, RATE_LIMIT_MAX: '1' });
  for (const status of [200, 429]) {
    const { statusCode, headers } = await app.inject({ url: '/', headers: { origin } });
    t.equal(statusCode, status);
    t.equal(headers['access-control-allow-origin'], origin);
    const exposed = String(headers['access-control-expose-headers']).split(', ');
    const names = ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'];
    for (const name of status === 429 ? [...names, 'retry-after'] : names)
      t.ok(headers[name] && exposed.includes(name), name);
  }
});
