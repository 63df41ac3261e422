import { DiagLogLevel, diag } from '@opentelemetry/api';
import { ExportResultCode, getNumberFromEnv, setGlobalErrorHandler } from '@opentelemetry/core';
import type { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import type { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import type { PushMetricExporter } from '@opentelemetry/sdk-metrics';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import type { FastifyInstance } from 'fastify';
import { CollectorHealth } from './collector-health.ts';

/**
 * How long one export may take with its retries, in milliseconds, unless OTEL_EXPORTER_OTLP_TIMEOUT says otherwise.
 * OpenTelemetry's 10 s would end the wait that a collector asks for by a longer Retry-After.
 */
const EXPORT_TIMEOUT_MS = 30_000;

interface Exporters {
  traces: SpanExporter;
  metrics: PushMetricExporter;
}

/**
 * What sends traces and metrics. OpenTelemetry's exporters read the variables that begin with OTEL_EXPORTER_OTLP_
 * by themselves.
 */
export async function createExporters({ config, log }: FastifyInstance): Promise<Exporters> {
  const classes = await load(config.OTEL_EXPORTER_OTLP_PROTOCOL);
  const health = new CollectorHealth(log);
  diag.setLogger(health, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  setGlobalErrorHandler(() => undefined);

  class TraceExporter extends classes.OTLPTraceExporter {
    override export(...[spans, done]: Parameters<SpanExporter['export']>): void {
      super.export(spans, (result) => done(health.note(result)));
    }
  }
  class MetricExporter extends classes.OTLPMetricExporter {
    #busy = false;

    /** Metrics are sums: while one export waits to be tried again, the next can be left out. */
    override export(...[data, done]: Parameters<PushMetricExporter['export']>): void {
      if (this.#busy) done({ code: ExportResultCode.FAILED });
      else this.#send(data, done);
    }

    #send(...[data, done]: Parameters<PushMetricExporter['export']>): void {
      this.#busy = true;
      super.export(data, (result) => {
        this.#busy = false;
        done(health.note(result));
      });
    }
  }
  const timeoutMillis = getNumberFromEnv('OTEL_EXPORTER_OTLP_TIMEOUT') ?? EXPORT_TIMEOUT_MS;
  return {
    traces: new TraceExporter({ timeoutMillis }),
    metrics: new MetricExporter({ timeoutMillis }),
  };
}

interface ExporterClasses {
  OTLPTraceExporter: typeof OTLPTraceExporter;
  OTLPMetricExporter: typeof OTLPMetricExporter;
}

async function load(protocol: 'http/protobuf' | 'http/json'): Promise<ExporterClasses> {
  const [traces, metrics] = await Promise.all(
    protocol === 'http/json'
      ? [
          import('@opentelemetry/exporter-trace-otlp-http'),
          import('@opentelemetry/exporter-metrics-otlp-http'),
        ]
      : [
          import('@opentelemetry/exporter-trace-otlp-proto'),
          import('@opentelemetry/exporter-metrics-otlp-proto'),
        ],
  );
  return { ...traces, ...metrics } as ExporterClasses;
}
