import { context, propagation } from '@opentelemetry/api';
import { sql } from 'kysely';
import { type Test, test } from 'tap';
import { startCollector } from '../../fixture/collector.ts';
import { createEmbeddedDatabase } from '../../fixture/embedded-database.ts';
import { buildTestApp, captureLog, type Environment, poll } from '../../helper.ts';
import { attach, CLIENT, closeAfterSpans, findSpan } from './attach.ts';

const [PRODUCER, CONSUMER] = [4, 5];

/** Starts an app that takes the jobs of test/fixture, and the collector that it sends to. */
async function startApp(t: Test, more: Environment = {}) {
  const collector = await startCollector(t);
  const { logger, lines } = captureLog();
  const environment = {
    ...attach(collector),
    DATABASE_URL: `pglite:${await createEmbeddedDatabase()}`,
    JOBS_IN_WEB: 'true',
    ...more,
  };
  const app = await buildTestApp(t, environment, {
    logger,
    jobs: [new URL('../../fixture/jobs/', import.meta.url)],
    routes: [new URL('../../fixture/job-routes/', import.meta.url)],
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, collector, lines, url };
}

test('A request that writes and sends a job, and its run, are one trace', async (t) => {
  const { app, collector, lines, url } = await startApp(t);
  const send = async (how: string) => {
    const answer = await fetch(`${url}/work/${how}`, { method: 'POST' });
    return (await answer.json()).id;
  };
  const findEnd = (job: string) => lines.find(({ id, outcome }) => id === job && outcome);
  const done = await send('end');
  await poll(() => findEnd(done) !== undefined);
  const failed = await app.jobs.send('work', { how: 'throw' }, { key: 'a' });
  t.equal(await app.jobs.send('work', { how: 'throw' }, { key: 'a' }), null);
  await poll(() => lines.some(({ outcome }) => outcome === 'failed'));
  await sql`drop schema pgboss cascade`.execute(app.db);
  await t.rejects(app.jobs.send('work', { how: 'end' }));
  await closeAfterSpans(app, collector, 3, CONSUMER);

  const request = findSpan(collector, 'POST /work/:how');
  const { traceId } = request;
  t.match(findSpan(collector, 'CREATE', CLIENT), { traceId, parentSpanId: request.spanId });
  const producer = findSpan(collector, 'send work', PRODUCER);
  t.match(producer, {
    traceId,
    parentSpanId: request.spanId,
    attributes: {
      'messaging.system': 'pg-boss',
      'messaging.destination.name': 'work',
      'messaging.operation.type': 'send',
      'messaging.message.id': done,
    },
  });
  const consumer = findSpan(collector, 'process work', CONSUMER);
  t.match(consumer, {
    traceId,
    parentSpanId: producer.spanId,
    attributes: { 'messaging.operation.type': 'process', 'job.outcome': 'done' },
    status: {},
  });
  const begun = lines.find(({ id, msg }) => id === done && msg === 'end begins');
  for (const line of [begun, findEnd(done)]) t.match(line, { traceId, spanId: consumer.spanId });

  const spans = collector.spans.filter(({ name }) => name === 'process work').slice(1);
  const attributes = { 'error.type': 'RangeError', 'messaging.message.id': failed };
  t.match(
    spans.map((span) => ({ ...span.attributes, ...span.status })),
    ['retry', 'failed'].map((outcome) => ({ ...attributes, 'job.outcome': outcome, code: 2 })),
  );
  const last = collector.spans.filter(({ kind }) => kind === PRODUCER).at(-1);
  t.match(last, { status: { code: 2 }, attributes: { 'error.type': '42P01' } });
  t.notMatch(JSON.stringify(collector.spans), 'hunter2');

  const read = (metric: string) => collector.metrics.filter(({ name }) => name === metric).at(-1);
  t.match(read('messaging.client.sent.messages'), { unit: '{message}', points: [{ asInt: 2 }] });
  const duration = read('messaging.process.duration');
  t.equal(duration?.unit, 's');
  const points = duration?.points.map((point) => point.attributes as Record<string, string>);
  const ofWork = points?.filter((point) => point['messaging.destination.name'] === 'work') ?? [];
  t.strictSame(ofWork.map((point) => [point['job.outcome'], 'error.type' in point]).sort(), [
    ['done', false],
    ['failed', true],
    ['retry', true],
  ]);
});

test('A run is a child of what sent the job, whatever other services get', async (t) => {
  const { app, collector, lines } = await startApp(t, { OTEL_PROPAGATORS: 'none' });
  const baggage = propagation.createBaggage({ tenant: { value: 'acme' } });
  await context.with(propagation.setBaggage(context.active(), baggage), () =>
    app.jobs.send('work', { how: 'end' }),
  );
  const { rows } = await sql`select data from pgboss.job where name = 'work'`.execute(app.db);
  t.match(JSON.stringify(rows), '"baggage":"tenant=acme"');
  await poll(() => lines.some(({ outcome }) => outcome === 'done'));
  await closeAfterSpans(app, collector, 1, CONSUMER);
  const { traceId, spanId } = findSpan(collector, 'send work', PRODUCER);
  const run = findSpan(collector, 'process work', CONSUMER);
  t.match(run, { traceId, parentSpanId: spanId });
});

test('A job that throws an unreadable error fails, and the worker takes the next job', async (t) => {
  const { app, collector, lines } = await startApp(t);
  await app.jobs.send('work', { how: 'throw unreadable' });
  await poll(() => lines.some(({ outcome }) => outcome === 'failed'));
  await app.jobs.send('work', { how: 'end' });
  await poll(() => lines.some(({ job, outcome }) => job === 'work' && outcome === 'done'));
  await closeAfterSpans(app, collector, 3, CONSUMER);
  const ends = lines.filter(({ job, outcome }) => job === 'work' && outcome);
  t.match(
    ends,
    ['retry', 'failed', 'done'].map((outcome) => ({ outcome })),
  );
  t.equal(ends.length, 3);
  t.match(findSpan(collector, 'process work', CONSUMER), {
    attributes: { 'error.type': 'Error', 'job.outcome': 'retry' },
    status: { code: 2 },
  });
});

test('The span of a job that ends while the app closes is exported', async (t) => {
  const { app, collector, lines } = await startApp(t);
  await app.jobs.send('work', { how: 'stop' });
  await poll(() => lines.some(({ msg }) => msg === 'stop begins'));
  await app.close();
  const attributes = { 'job.outcome': 'done' };
  t.match(findSpan(collector, 'process work', CONSUMER), { attributes });
});
