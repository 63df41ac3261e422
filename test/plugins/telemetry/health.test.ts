import { once } from 'node:events';
import { request } from 'node:http';
import { diag } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import Fastify, { type FastifyBaseLogger } from 'fastify';
import { type Test, test } from 'tap';
import { CollectorHealth } from '../../../plugins/telemetry/health.ts';
import { type Collector, startCollector } from '../../fixture/collector.ts';
import { captureLog } from '../../helper.ts';

/** Guards an exporter that always succeeds. */
function guardExporter(t: Test, send: () => void = () => undefined) {
  const { logger, lines } = captureLog();
  const app = Fastify({ loggerInstance: logger as FastifyBaseLogger });
  t.teardown(() => app.close());
  t.teardown(() => diag.disable());
  const exporter = {
    export(_items: never, done: (result: ExportResult) => void) {
      send();
      done({ code: ExportResultCode.SUCCESS });
    },
  };
  new CollectorHealth(app).guard('traces', [exporter]);
  let result: ExportResult | undefined;
  const isSent = () => {
    exporter.export(undefined as never, (given) => {
      result = given;
    });
    return result?.code === ExportResultCode.SUCCESS;
  };
  return { isSent, lines };
}

/** Sends an exporter's request, which the collector answers with Retry-After. */
async function askForPause(
  collector: Collector,
  retryAfter: string,
  signal = 'traces',
  status = 429,
): Promise<void> {
  collector.answer = (response) => response.writeHead(status, { 'retry-after': retryAfter }).end();
  const headers = { 'user-agent': 'OTel-OTLP-Exporter-JavaScript/1' };
  const [answer] = await once(
    request(`${collector.url}/v1/${signal}`, { headers }).end(),
    'response',
  );
  answer.resume();
}

test('A pause that the collector asks for is limited', async (t) => {
  const collector = await startCollector(t);
  const { isSent } = guardExporter(t);
  const in2100 = 'Fri, 01 Jan 2100 00:00:00 GMT';
  let now = performance.now();
  t.intercept(performance, 'now', { value: () => now });
  for (const retryAfter of ['999999999', in2100, 'Infinity']) {
    await askForPause(collector, retryAfter);
    now += 599_000;
    t.notOk(isSent(), retryAfter);
    now += 2_000;
    t.ok(isSent(), retryAfter);
  }
});

test('A pause is for one signal', async (t) => {
  const collector = await startCollector(t);
  const { isSent } = guardExporter(t);
  await askForPause(collector, '60', 'metrics');
  t.ok(isSent());
  await askForPause(collector, '20');
  t.notOk(isSent());
});

test('A Retry-After that is empty, invalid or past is no pause', async (t) => {
  const collector = await startCollector(t);
  const { isSent } = guardExporter(t);
  for (const retryAfter of ['', 'soon', '-60', 'Sat, 01 Jan 2000 00:00:00 GMT']) {
    await askForPause(collector, retryAfter);
    t.ok(isSent(), retryAfter);
  }
});

test('A Retry-After of an answer that is no failure is no pause', async (t) => {
  const collector = await startCollector(t);
  const { isSent } = guardExporter(t);
  for (const status of [202, 302]) {
    await askForPause(collector, '60', 'traces', status);
    t.ok(isSent(), `${status}`);
  }
});

test('Only warnings of an exporter are failures of the collector', async (t) => {
  const own = guardExporter(t);
  diag.warn('Invalid attribute value set for key: color');
  await new Promise(setImmediate);
  t.ok(own.isSent());
  t.strictSame(own.lines, []);
  diag.disable();

  const refused = guardExporter(t, () => diag.warn('Received Partial Success response:', 1));
  t.ok(refused.isSent());
  t.match(refused.lines, [
    { msg: /^The collector fails/, err: { message: 'Received Partial Success response: 1' } },
  ]);
});
