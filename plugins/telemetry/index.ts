import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';

/** A comma list of `name=value`, which OpenTelemetry would pass over without a word where it is none. */
const PAIRS = '^\\s*[^\\s=,;]+\\s*=[^,]*(,\\s*[^\\s=,;]+\\s*=[^,]*)*$';

/**
 * OpenTelemetry's own names and defaults. The SDK reads the others of them by itself:
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables
 */
export const settings = Type.Object({
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({
      format: 'uri',
      pattern: '^https?://[^/?#]+(/[^?#]*)?$',
      secret: true,
      description:
        'The collector of traces and metrics (OTLP over HTTP); not attached when not set',
      expected: 'an http:// or https:// URL without a query',
      remedy: 'Set OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318, or leave it out',
    }),
  ),
  OTEL_EXPORTER_OTLP_PROTOCOL: Type.Enum(['http/protobuf', 'http/json'], {
    default: 'http/protobuf',
    description: 'How traces and metrics are sent to the collector',
    remedy: 'Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf; grpc is not supported',
  }),
  OTEL_EXPORTER_OTLP_HEADERS: Type.Optional(
    Type.String({
      pattern: PAIRS,
      secret: true,
      description: 'Headers for the collector, such as its key',
      expected: 'a comma list of name=value, with percent-encoded values',
      remedy: 'Set OTEL_EXPORTER_OTLP_HEADERS=api-key=abc, or leave it out',
    }),
  ),
  // OpenTelemetry's 10 s would end the wait that a collector asks for by a longer Retry-After.
  OTEL_EXPORTER_OTLP_TIMEOUT: Type.Integer({
    minimum: 1,
    maximum: 3_600_000,
    default: 30_000,
    description: 'How long one export may take with its retries; in milliseconds',
  }),
  OTEL_RESOURCE_ATTRIBUTES: Type.Optional(
    Type.String({
      pattern: PAIRS,
      description: 'What all traces and metrics say of this process',
      expected: 'a comma list of name=value, with percent-encoded values',
      remedy: 'Set OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=staging, or leave it out',
    }),
  ),
  OTEL_TRACES_SAMPLER: Type.String({
    default: 'parentbased_always_on',
    pattern: '^(parentbased_)?(always_on|always_off|traceidratio)$',
    description: 'Which traces are recorded; parentbased_ ones follow the caller',
    expected: 'always_on, always_off or traceidratio, or one of them after parentbased_',
    remedy: 'Set OTEL_TRACES_SAMPLER=parentbased_traceidratio to record a part of them',
  }),
  OTEL_TRACES_SAMPLER_ARG: Type.String({
    default: '1',
    pattern: '^(0|1|0?\\.\\d+|1\\.0+)$',
    description: 'The part of the traces that traceidratio records, from 0 to 1',
    expected: 'a number from 0 to 1',
    remedy: 'Set OTEL_TRACES_SAMPLER_ARG=0.1 for a tenth',
  }),
  OTEL_METRIC_EXPORT_INTERVAL: Type.Integer({
    minimum: 1,
    maximum: 3_600_000,
    default: 60_000,
    description: 'How often metrics are sent; in milliseconds',
  }),
  OTEL_PROPAGATORS: Type.String({
    default: 'tracecontext,baggage',
    pattern: '^(none|(tracecontext|baggage)(\\s*,\\s*(tracecontext|baggage))*)$',
    description: 'The headers that join traces of several services: tracecontext, baggage, none',
    expected: 'a comma list of tracecontext and baggage, or none',
  }),
  OTEL_SDK_DISABLED: Type.String({
    default: 'false',
    pattern: '^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$',
    description: 'true switches traces and metrics off',
    expected: 'true or false',
  }),
});

export type TelemetrySettings = Static<typeof settings>;

declare module '../env/index.ts' {
  interface Config extends TelemetrySettings {}
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False for a route of which there are no traces and no metrics. */
    telemetry?: boolean;
  }
}

/**
 * Traces and metrics for the collector at OTEL_EXPORTER_OTLP_ENDPOINT, by OpenTelemetry's own SDK. Without one,
 * nothing of it is loaded, and `trace` and `metrics` of @opentelemetry/api do nothing.
 */
export default fp(
  async (app) => {
    const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: disabled } = app.config;
    if (!endpoint || disabled.toLowerCase() === 'true') return;
    const { attachCollector } = await import('./collector.ts');
    await attachCollector(app);
  },
  { name: 'telemetry', dependencies: ['errors'] },
);
