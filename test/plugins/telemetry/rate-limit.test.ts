import { test } from 'tap';
import { startCollector } from '../../fixture/collector.ts';
import { buildTestApp, DOWN } from '../../helper.ts';
import { attach, closeAfterSpans } from './attach.ts';

test('A request that the rate limit refuses has a span, with its route', async (t) => {
  const collector = await startCollector(t);
  const environment = { ...attach(collector), DATABASE_URL: DOWN, RATE_LIMIT_MAX: '1' };
  const app = await buildTestApp(t, environment);
  const statuses = [200, 429];
  for (const status of statuses) t.equal((await app.inject('/')).statusCode, status);
  t.match(
    await closeAfterSpans(app, collector, statuses.length),
    statuses.map((status) => ({
      name: 'GET /',
      attributes: { 'http.response.status_code': status },
    })),
  );
});
