import { test } from 'tap';
import { buildTestApp, DOWN } from '../helper.ts';
import { signIn, startIssuer } from '../plugins/auth/test-issuer.ts';

test("GET /me answers the caller's id and scopes, and nothing else of the token", async (t) => {
  const issuer = await startIssuer(t);
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, ...issuer.environment });
  const token = await issuer.sign({ scope: 'notes:read', email: 'alice@example.com' });
  const answer = await signIn(app, token).inject('/me');
  t.strictSame(answer.json(), { id: 'alice', scopes: ['notes:read'] });
});

test('GET /me and HEAD /me answer 503 if no issuer is attached', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN });
  const answer = await app.inject('/me');
  t.match(answer.json(), { statusCode: 503, code: 'AUTH_NOT_ATTACHED' });
  t.equal(answer.headers['cache-control'], 'no-store');
  t.match(answer.headers['retry-after'], /^\d+$/);
  t.equal((await app.inject({ method: 'HEAD', url: '/me' })).statusCode, 503);
});
