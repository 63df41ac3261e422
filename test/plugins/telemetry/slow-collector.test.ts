import type { ServerResponse } from 'node:http';
import { trace } from '@opentelemetry/api';
import { test } from 'tap';
import { startCollector } from '../../fixture/collector.ts';
import { buildTestApp, captureLog, DOWN, poll } from '../../helper.ts';
import { attach } from './attach.ts';

/** The SDK sends as soon as this many spans have ended. */
const BATCH = 512;

function recordSpans(count: number): void {
  for (let index = 0; index < count; index++) trace.getTracer('own').startSpan('own').end();
}

test('While an answer does not end, the next spans wait for OTEL_EXPORTER_OTLP_TIMEOUT', async (t) => {
  const collector = await startCollector(t);
  collector.answer = (response) => {
    const timer = setInterval(() => response.write(' '), 20);
    response.once('close', () => clearInterval(timer));
  };
  const environment = {
    ...attach(collector),
    DATABASE_URL: DOWN,
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_EXPORTER_OTLP_TIMEOUT: '300',
  };
  const app = await buildTestApp(t, environment);
  const startedAt = performance.now();
  recordSpans(2 * BATCH + 1);
  await poll(() => collector.requests.length >= 2);
  t.ok(performance.now() - startedAt < 20_000, "and not for the SDK's own 30 s");
  await app.close();
});

test('Metrics are sent on time while the collector has not answered the last ones', async (t) => {
  const collector = await startCollector(t);
  const waiting: ServerResponse[] = [];
  const { answer } = collector;
  collector.answer = (response) => void waiting.push(response);
  const { logger, lines } = captureLog();
  const environment = {
    ...attach(collector),
    DATABASE_URL: DOWN,
    OTEL_TRACES_EXPORTER: 'none',
    OTEL_METRIC_EXPORT_INTERVAL: '50',
  };
  const app = await buildTestApp(t, environment, { logger });
  await fetch(await app.listen({ host: '127.0.0.1', port: 0 }));
  const listFailures = () => lines.filter(({ msg }) => msg.startsWith('The collector'));
  await poll(() => waiting.length >= 10 || listFailures().length > 0);
  collector.answer = answer;
  waiting.forEach(answer);
  await app.close();
  t.strictSame(listFailures(), []);
});
