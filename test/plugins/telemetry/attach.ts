import { metrics, type ProxyTracerProvider, trace } from '@opentelemetry/api';
import type { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { TracerProvider } from '@opentelemetry/sdk-trace';
import type { FastifyInstance } from 'fastify';
import type { Collector, Span } from '../../fixture/collector.ts';
import { type Environment, poll } from '../../helper.ts';

/** Settings that attach a collector, send metrics often, and stop without a delay. */
export function attach({ url }: Pick<Collector, 'url'>): Environment {
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_METRIC_EXPORT_INTERVAL: '200',
    SHUTDOWN_DELAY_MS: '0',
    RATE_LIMIT_MAX: '0',
  };
}

export const [SERVER, CLIENT] = [2, 3];

/**
 * Closes the app when the collector has this many spans of the kind, and the metrics: at its close,
 * the app sends for two seconds at most, which may be too short on a busy machine.
 *
 * @returns all spans of the kind
 */
export async function closeAfterSpans(
  app: FastifyInstance,
  { spans }: Collector,
  count: number,
  kind = SERVER,
): Promise<Span[]> {
  const list = () => spans.filter((span) => span.kind === kind);
  const tracers = (trace.getTracerProvider() as ProxyTracerProvider).getDelegate();
  await poll(async () => {
    await (tracers as TracerProvider).forceFlush();
    return list().length >= count;
  });
  await flushMetrics();
  await app.close();
  return list();
}

export async function flushMetrics(): Promise<void> {
  await (metrics.getMeterProvider() as MeterProvider).forceFlush();
}

/** @throws if there is no such span */
export function findSpan({ spans }: Collector, name: string, kind = SERVER): Span {
  const found = spans.find((span) => span.name === name && span.kind === kind);
  if (!found) throw new Error(`No ${name} among ${spans.map((span) => span.name)}`);
  return found;
}
