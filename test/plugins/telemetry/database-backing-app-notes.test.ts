import { test } from 'tap';
import { startCollector } from '../../fixture/collector.ts';
import { createEmbeddedDatabase } from '../../fixture/embedded-database.ts';
import { DOWN, startProcess } from '../../helper.ts';
import { attach, CLIENT, findSpan, stop } from './attach.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = { traceparent: `00-${TRACE}-b7ad6b7169203331-01` };

test('A request, its query and the call to another app are one trace over both', async (t) => {
  const collector = await startCollector(t);
  const other = await startProcess(t, {
    entry: 'web',
    source: 'src',
    environment: {
      ...attach(collector),
      DATABASE_URL: `pglite:${await createEmbeddedDatabase(t)}`,
      OTEL_SERVICE_NAME: 'other',
    },
  });
  const web = await startProcess(t, {
    entry: 'web',
    source: 'src',
    environment: { ...attach(collector), DATABASE_URL: DOWN, BACKING_APP_URL: other.url },
  });
  await fetch(`${web.url}/health/ready`);
  const answer = await fetch(`${web.url}/backing-app/notes?limit=3`, { headers: PARENT });
  t.equal(answer.status, 200);
  await Promise.all([stop(web), stop(other)]);

  t.match(findSpan(collector, 'GET /backing-app/notes'), {
    parentSpanId: 'b7ad6b7169203331',
    resource: { 'service.name': 'poort' },
    attributes: {
      'http.request.method': 'GET',
      'http.route': '/backing-app/notes',
      'http.response.status_code': 200,
      'url.path': '/backing-app/notes',
    },
  });
  const call = findSpan(collector, 'GET', CLIENT);
  t.match(call.attributes, { 'url.full': `${other.url}/notes`, 'http.response.status_code': 200 });
  const inner = findSpan(collector, 'GET /notes');
  t.match(inner, { parentSpanId: call.spanId, resource: { 'service.name': 'other' } });
  t.match(findSpan(collector, 'SELECT notes', CLIENT), {
    parentSpanId: inner.spanId,
    attributes: {
      'db.system.name': 'postgresql',
      'db.query.text': /^select "id".* limit \$1$/,
      'db.operation.name': 'SELECT',
      'db.collection.name': 'notes',
    },
  });
  t.equal(collector.spans.length, 4, 'a health check makes none');
  for (const { traceId } of collector.spans) t.equal(traceId, TRACE);
  const line = other.lines.find(({ path }) => path === '/notes');
  t.match(line, { traceId: TRACE, spanId: inner.spanId });
  t.notMatch(JSON.stringify(collector.spans), 'limit=3');
});

test('What failed is recorded, without a secret', async (t) => {
  const collector = await startCollector(t);
  const BACKING_APP_URL = 'http://127.0.0.1:1';
  const environment = { ...attach(collector), DATABASE_URL: DOWN, BACKING_APP_URL };
  const web = await startProcess(t, { entry: 'fixture', source: 'src', environment });
  await fetch(`${web.url}/notes?token=hunter2`);
  await fetch(`${web.url}/backing-app/notes`);
  await fetch(`${web.url}/nowhere`, { method: 'PROPFIND' });
  const held = new AbortController();
  const given = fetch(`${web.url}/fixture/held`, { signal: held.signal });
  await web.waitForLine('held');
  held.abort();
  await t.rejects(given);
  await stop(web);

  const failed = findSpan(collector, 'GET /notes');
  t.match(failed, {
    status: { code: 2 },
    attributes: { 'http.response.status_code': 503, 'error.type': String },
    events: [{ name: 'exception', attributes: { 'exception.type': 'ECONNREFUSED' } }],
  });
  t.match(findSpan(collector, 'GET', CLIENT).attributes, { 'error.type': 'ECONNREFUSED' });
  t.match(findSpan(collector, 'HTTP').attributes, { 'http.request.method': '_OTHER' });
  t.match(findSpan(collector, 'GET /fixture/held').attributes, {
    'error.type': 'client_closed_request',
  });
  t.notMatch(JSON.stringify(collector.spans), 'hunter2');
});
