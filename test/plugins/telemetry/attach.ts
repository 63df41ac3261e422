import type { Collector, Span } from '../../fixture/collector.ts';
import type { Environment } from '../../helper.ts';

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

/** @throws if there is no such span */
export function findSpan({ spans }: Collector, name: string, kind = SERVER): Span {
  const found = spans.find((span) => span.name === name && span.kind === kind);
  if (!found) throw new Error(`No ${name} among ${spans.map((span) => span.name)}`);
  return found;
}
