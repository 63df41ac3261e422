import { type Test, test } from 'tap';
import { startCollector } from '../../fixture/collector.ts';
import { buildAppWithRoutes, poll } from '../../helper.ts';
import { attach, CLIENT, findSpan } from './attach.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = { traceparent: `00-${TRACE}-b7ad6b7169203331-01` };

const ROUTES = `
  import { trace } from '${import.meta.resolve('@opentelemetry/api')}';
  export default async (app) => {
    app.post('/calls', async ({ body }) => ({ status: (await fetch(body.url, body)).status }));
    app.get('/own', async ({ log }) =>
      trace.getTracer('own').startActiveSpan('own work', async (span) => {
        log.info('inside');
        span.end();
        return {};
      }));
  };`;

/** Starts an app whose routes call other routes and itself. */
async function setScene(t: Test) {
  const collector = await startCollector(t);
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, attach(collector));
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const call = (body: object) =>
    fetch(`${url}/calls`, {
      method: 'POST',
      headers: { ...PARENT, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  return { collector, app, lines, url, call };
}

test('A request, its call to another app and a custom span are one trace', async (t) => {
  const { collector, app, lines, url, call } = await setScene(t);
  const answers = [
    await call({ url: `${url}/?token=hunter2` }),
    await call({ url: `${url}/nowhere`, method: 'PROPFIND' }),
    await call({ url: 'http://127.0.0.1:2' }),
  ];
  t.strictSame(
    answers.map(({ status }) => status),
    [200, 200, 500],
  );
  for (const scheme of ['http', 'https']) await call({ url: `${scheme}://127.0.0.1/` });
  await fetch(`${url}/own`, { headers: PARENT });
  // The last spans are sent for two seconds at most, which may be too short on a busy machine.
  const isSent = (wanted: string) => collector.spans.some(({ name }) => name === wanted);
  await poll(() => isSent('GET /own') && isSent('GET /'));
  await app.close();

  t.match(findSpan(collector, 'POST /calls'), {
    traceId: TRACE,
    parentSpanId: 'b7ad6b7169203331',
    attributes: { 'http.request.method': 'POST', 'http.route': '/calls', 'url.path': '/calls' },
  });
  const done = findSpan(collector, 'GET', CLIENT);
  t.match(done.attributes, { 'url.full': `${url}/`, 'http.response.status_code': 200 });
  t.match(findSpan(collector, 'GET /'), { traceId: TRACE, parentSpanId: done.spanId });
  const refused = { 'http.request.method': '_OTHER', 'error.type': '404' };
  t.match(findSpan(collector, 'HTTP', CLIENT), { status: { code: 2 }, attributes: refused });
  const failed = collector.spans.filter(({ name, kind }) => name === 'GET' && kind === CLIENT);
  t.match(failed[1]?.attributes, { 'error.type': 'ECONNREFUSED' });
  const ports = failed.slice(2).map(({ attributes }) => attributes['server.port']);
  t.strictSame(ports, [80, 443], 'the default port of http:');
  const own = findSpan(collector, 'own work', 1);
  t.match(own, { parentSpanId: findSpan(collector, 'GET /own').spanId });
  const line = lines.find(({ msg }) => msg === 'inside');
  t.match(line, { traceId: TRACE, spanId: own.spanId });
  t.notMatch(JSON.stringify(collector.spans), 'hunter2');
});
