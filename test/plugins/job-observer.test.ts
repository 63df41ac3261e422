import { test } from 'tap';
import { UNOBSERVED } from '../../src/job-run.ts';
import { putHeaders, readQueued } from '../../src/job-storage.ts';
import { buildTestApp, DOWN } from '../helper.ts';

const jobs = [new URL('../fixture/jobs/', import.meta.url)];

test('An observer of the jobs sees each run', async (t) => {
  const app = await buildTestApp(t, { DATABASE_URL: DOWN }, { jobs });
  const names: string[] = [];
  app.jobs.observe({
    ...UNOBSERVED,
    run(run, next) {
      names.push(run.name);
      return next();
    },
  });
  await app.jobs.run('work', { how: 'end' });
  t.strictSame(names, ['work']);
});

test('Headers stored with a job are read when it is taken', async (t) => {
  const queued = { id: 'a', name: 'work', retryCount: 0, retryLimit: 0 };
  for (const headers of [{}, { traceparent: 'b' }]) {
    const data = putHeaders({ how: 'end' }, headers);
    t.match(readQueued({ ...queued, data } as never), { headers, payload: { how: 'end' } });
  }
});
