import { trace } from '@opentelemetry/api';
import { test } from 'tap';
import { startCollector } from '../../fixture/collector.ts';
import { buildTestApp, DOWN, poll } from '../../helper.ts';
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
