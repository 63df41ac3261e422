import { test } from 'tap';
import { buildTestApp, DOWN } from '../../helper.ts';

test('A page of another origin can read WWW-Authenticate', async (t) => {
  const origin = 'https://page.example';
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, CORS_ORIGIN: origin });
  const answer = await app.inject({ url: '/me', headers: { origin } });
  t.match(answer.headers['access-control-expose-headers'], /www-authenticate/);
  const headers = { origin, 'access-control-request-method': 'GET' };
  t.equal((await app.inject({ method: 'OPTIONS', url: '/me', headers })).statusCode, 204);
});
