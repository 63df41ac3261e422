import { test } from 'tap';
import { buildTestApp, DOWN } from '../../helper.ts';
import { startIssuer } from './test-issuer.ts';

test('The rate limit counts requests with wrong tokens', async (t) => {
  const { environment } = await startIssuer(t);
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, RATE_LIMIT_MAX: '2', ...environment });
  const statuses = [];
  for (let count = 0; count < 3; count++) {
    const headers = { authorization: `Bearer ${count}` };
    statuses.push((await app.inject({ url: '/me', headers })).statusCode);
  }
  t.strictSame(statuses, [401, 401, 429]);
});
