import fp from 'fastify-plugin';
import { type Static, type TStringOptions, Type } from 'typebox';

const PAIRS = 'a comma list of name=value, with percent-encoded values';

/** Without a collector, the values are only for an agent, which may know others. */
const ONLY = { onlyWith: 'OTEL_EXPORTER_OTLP_ENDPOINT' };

// Names, defaults and case are those of OpenTelemetry's "Environment Variable Specification".
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
  OTEL_EXPORTER_OTLP_PROTOCOL: choose(
    ['http/protobuf', 'http/json'],
    'How traces and metrics are sent to the collector; grpc is not supported',
  ),
  OTEL_EXPORTER_OTLP_HEADERS: optional('Headers for the collector, such as its key', {
    format: 'headers',
    expected: PAIRS,
    secret: true,
    remedy: 'Set OTEL_EXPORTER_OTLP_HEADERS=x-team=blue, or leave it out',
  }),
  OTEL_EXPORTER_OTLP_COMPRESSION: choose(['none', 'gzip'], 'The compression of traces and metrics'),
  // OpenTelemetry's default of 10 s would cut a longer wait that a Retry-After asks for.
  OTEL_EXPORTER_OTLP_TIMEOUT: time(30_000, 'How long one export may take with its retries'),
  OTEL_EXPORTER_OTLP_CERTIFICATE: optional('A PEM file to check the certificate of the collector'),
  OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: optional(
    'A PEM file with a client certificate for the collector',
    { requires: 'OTEL_EXPORTER_OTLP_CLIENT_KEY' },
  ),
  OTEL_EXPORTER_OTLP_CLIENT_KEY: optional('A PEM file with the key of the client certificate', {
    requires: 'OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE',
  }),
  OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: choose(
    ['cumulative', 'delta', 'lowmemory'],
    'Whether sums count from the start of the process, or from the last export',
  ),
  OTEL_TRACES_EXPORTER: chooseExporters('Traces are sent if this contains otlp'),
  OTEL_METRICS_EXPORTER: chooseExporters('Metrics are sent if this contains otlp'),
  OTEL_SERVICE_NAME: optional("The app's name in traces and metrics; package.json's when not set"),
  OTEL_RESOURCE_ATTRIBUTES: optional('Attributes of this process in all traces and metrics', {
    format: 'pairs',
    expected: PAIRS,
    remedy: 'Set OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=staging, or leave it out',
  }),
  OTEL_TRACES_SAMPLER: choose(
    [
      'parentbased_always_on',
      'always_on',
      'parentbased_always_off',
      'always_off',
      'parentbased_traceidratio',
      'traceidratio',
    ],
    'Which traces are recorded; parentbased_ ones follow the caller',
  ),
  OTEL_TRACES_SAMPLER_ARG: Type.String({
    ...ONLY,
    default: '1',
    pattern: '^(0|1|0?\\.\\d+|1\\.0+)$',
    description: 'The share of traces that traceidratio records, from 0 to 1',
    expected: 'a number from 0 to 1',
    remedy: 'Set OTEL_TRACES_SAMPLER_ARG=0.1 for a tenth',
  }),
  OTEL_METRIC_EXPORT_INTERVAL: time(60_000, 'How often metrics are sent'),
  OTEL_PROPAGATORS: Type.String({
    ...ONLY,
    default: 'tracecontext,baggage',
    ignoreCase: true,
    pattern: `^(none|${list('tracecontext|baggage')})$`,
    description: 'The headers that join traces of several services: tracecontext, baggage, none',
    expected: 'a comma list of tracecontext and baggage, or none',
  }),
  OTEL_SDK_DISABLED: choose(['false', 'true'], 'Set true to switch traces and metrics off'),
});

export type TelemetrySettings = Static<typeof settings>;

declare module '../env/index.ts' {
  interface Config extends TelemetrySettings {}
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False for a route without traces and metrics. */
    telemetry?: boolean;
  }
}

/** Sends traces and metrics to OTEL_EXPORTER_OTLP_ENDPOINT. Without it, no SDK is loaded. */
export default fp(
  async (app) => {
    const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: disabled } = app.config;
    if (!endpoint || disabled === 'true') return;
    const { attachCollector } = await import('./collector.ts');
    await attachCollector(app);
  },
  { name: 'telemetry', dependencies: ['errors'] },
);

function optional(description: string, options: TStringOptions = {}) {
  return Type.Optional(Type.String({ ...ONLY, ...options, description }));
}

function time(milliseconds: number, text: string) {
  const description = `${text}; in milliseconds`;
  const limits = { minimum: 1, maximum: 3_600_000, default: milliseconds };
  return Type.Integer({ ...ONLY, ...limits, description });
}

/** The first name is the default. */
function choose<const Name extends string>(names: Name[], description: string) {
  return Type.Enum(names, { ...ONLY, ignoreCase: true, default: names[0], description });
}

/** Allows more exporters than the app supports, because an agent may support them. */
function chooseExporters(description: string) {
  return Type.String({
    ...ONLY,
    default: 'otlp',
    ignoreCase: true,
    pattern: `^${list('otlp|none|console|logging|prometheus|zipkin')}$`,
    description,
    expected:
      'none or a list of otlp, console, logging, prometheus and zipkin; the app sends otlp only',
  });
}

function list(names: string): string {
  return `(${names})( *, *(${names}))*`;
}
