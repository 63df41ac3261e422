import { test } from 'tap';
import type { Job } from '../../plugins/jobs.ts';
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
  const jobs = new Map([['work', { retries: 1 } as Job]]);
  const queued = { id: 'a', name: 'work', retryCount: 0, retryLimit: 0 };
  // A payload may look like what is stored with headers.
  for (const payload of [{ how: 'end' }, { '/headers': { how: 'end' }, '/payload': 1 }])
    for (const headers of [{}, { traceparent: 'b' }]) {
      const data = putHeaders(payload, headers);
      const read = readQueued({ ...queued, data } as never, jobs);
      t.strictSame([read.headers, read.payload], [headers, payload]);
      t.equal(read.attempt, 1);
    }
});
