import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'tap';
import manifest from '../../../package.json' with { type: 'json' };
import { startCollector } from '../../fixture/collector.ts';
import { createEmbeddedDatabase } from '../../fixture/embedded-database.ts';
import { buildTestApp, captureLog, DOWN, poll } from '../../helper.ts';
import { attach, CLIENT, closeAfterSpans, findSpan } from './attach.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = { traceparent: `00-${TRACE}-b7ad6b7169203331-01` };

/* `npm run proof telemetry` tests this with two processes. */

test('A request, its query and its call to another app are one trace', async (t) => {
  const collector = await startCollector(t);
  const asked: unknown[] = [];
  const other = createServer(({ headers }, response) => {
    asked.push(headers.traceparent);
    response.end('{"items":[],"next":null}');
  });
  await once(other.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => other.close().closeAllConnections());
  const { logger, lines } = captureLog();
  const environment = {
    ...attach(collector),
    DATABASE_URL: `pglite:${await createEmbeddedDatabase()}`,
    BACKING_APP_URL: `http://127.0.0.1:${(other.address() as AddressInfo).port}`,
  };
  const app = await buildTestApp(t, environment, { logger });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  for (const path of ['/health/ready', '/notes?limit=3', '/backing-app/notes?limit=3'])
    await (await fetch(url + path, { headers: PARENT })).text();
  await poll(() => lines.some(({ path }) => path === '/backing-app/notes'));
  await closeAfterSpans(app, collector, 2);

  const ofNotes = findSpan(collector, 'GET /notes');
  t.match(ofNotes, {
    parentSpanId: 'b7ad6b7169203331',
    resource: { 'service.name': manifest.name },
    attributes: {
      'http.request.method': 'GET',
      'http.route': '/notes',
      'http.response.status_code': 200,
      'url.path': '/notes',
    },
  });
  t.match(findSpan(collector, 'SELECT notes', CLIENT), {
    parentSpanId: ofNotes.spanId,
    attributes: {
      'db.system.name': 'postgresql',
      'db.query.text': /^select "id".* limit \$1$/,
      'db.operation.name': 'SELECT',
      'db.collection.name': 'notes',
    },
  });
  const call = findSpan(collector, 'GET', CLIENT);
  t.match(call, {
    parentSpanId: findSpan(collector, 'GET /backing-app/notes').spanId,
    attributes: {
      'url.full': `${environment.BACKING_APP_URL}/notes`,
      'http.response.status_code': 200,
    },
  });
  t.equal(asked.at(-1), `00-${TRACE}-${call.spanId}-01`);
  const ofTrace = collector.spans.filter(({ traceId }) => traceId === TRACE);
  t.equal(ofTrace.length, 4, 'a health check makes no span');
  const line = lines.find(({ path }) => path === '/notes');
  t.match(line, { traceId: TRACE, spanId: ofNotes.spanId });
  t.notMatch(JSON.stringify(collector.spans), 'limit=3');
});

test('A failure is recorded in its span, without secrets', async (t) => {
  const collector = await startCollector(t);
  const environment = {
    ...attach(collector),
    DATABASE_URL: DOWN,
    BACKING_APP_URL: 'http://127.0.0.1:1',
  };
  const app = await buildTestApp(t, environment);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  await fetch(`${url}/notes?token=hunter2`);
  await fetch(`${url}/backing-app/notes`);
  await closeAfterSpans(app, collector, 2);

  const failed = findSpan(collector, 'GET /notes');
  t.match(failed, {
    status: { code: 2 },
    attributes: { 'http.response.status_code': 503, 'error.type': String },
    events: [{ name: 'exception', attributes: { 'exception.type': 'ECONNREFUSED' } }],
  });
  t.match(findSpan(collector, 'GET', CLIENT).attributes, { 'error.type': 'ECONNREFUSED' });
  t.notMatch(JSON.stringify(collector.spans), 'hunter2');
});
