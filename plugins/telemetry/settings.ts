import { type TStringOptions, Type } from 'typebox';

/** A comma list of `name=value`: OpenTelemetry would pass over any other without a word. */
const PAIR = ' *[^\\s=,;]+ *=( *([^\\s,;%]|%[0-9A-Fa-f]{2}))+ *';
const PAIRS = {
  pattern: `^${PAIR}(,${PAIR})*$`,
  expected: 'a comma list of name=value, with percent-encoded values',
};

/**
 * OpenTelemetry's own names and defaults; a name out of a list may be written in any case:
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables
 */
export const settings = Type.Object({
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(
    'The collector of traces and metrics (OTLP over HTTP); not attached when not set',
    {
      format: 'uri',
      pattern: '^https?://[^/?#]+(/[^?#]*)?$',
      secret: true,
      expected: 'an http:// or https:// URL without a query',
      remedy: 'Set OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318, or leave it out',
    },
  ),
  OTEL_EXPORTER_OTLP_PROTOCOL: choose(
    'http/protobuf|http/json',
    'How traces and metrics are sent to the collector; grpc is not supported',
  ),
  OTEL_EXPORTER_OTLP_HEADERS: optional('Headers for the collector, such as its key', {
    ...PAIRS,
    secret: true,
    remedy: 'Set OTEL_EXPORTER_OTLP_HEADERS=api-key=abc, or leave it out',
  }),
  OTEL_EXPORTER_OTLP_COMPRESSION: choose('none|gzip', 'How what is sent is compressed'),
  // OpenTelemetry's 10 s would end the wait that a collector asks for by a longer Retry-After.
  OTEL_EXPORTER_OTLP_TIMEOUT: time(30_000, 'How long one export may take with its retries'),
  OTEL_EXPORTER_OTLP_CERTIFICATE: optional('A PEM file that the collector is checked by'),
  OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: optional('A PEM file that the collector asks for'),
  OTEL_EXPORTER_OTLP_CLIENT_KEY: optional("A PEM file with that certificate's key"),
  OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: choose(
    'cumulative|delta|lowmemory',
    'Whether sums count from the start of the process, or from the last export',
  ),
  OTEL_TRACES_EXPORTER: chooseExporters('Traces are sent where this has otlp in it'),
  OTEL_METRICS_EXPORTER: chooseExporters('Metrics are sent where this has otlp in it'),
  OTEL_SERVICE_NAME: optional("The app's name in traces and metrics; package.json's when not set"),
  OTEL_RESOURCE_ATTRIBUTES: optional('What all traces and metrics say of this process', {
    ...PAIRS,
    remedy: 'Set OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=staging, or leave it out',
  }),
  OTEL_TRACES_SAMPLER: choose(
    'parentbased_always_on|always_on|parentbased_always_off|always_off|' +
      'parentbased_traceidratio|traceidratio',
    'Which traces are recorded; parentbased_ ones follow the caller',
  ),
  OTEL_TRACES_SAMPLER_ARG: Type.String({
    default: '1',
    pattern: '^(0|1|0?\\.\\d+|1\\.0+)$',
    description: 'The part of the traces that traceidratio records, from 0 to 1',
    expected: 'a number from 0 to 1',
    remedy: 'Set OTEL_TRACES_SAMPLER_ARG=0.1 for a tenth',
  }),
  OTEL_METRIC_EXPORT_INTERVAL: time(60_000, 'How often metrics are sent'),
  OTEL_PROPAGATORS: Type.String({
    default: 'tracecontext,baggage',
    pattern: ignoreCase(`none|${list('tracecontext|baggage')}`),
    description: 'The headers that join traces of several services: tracecontext, baggage, none',
    expected: 'a comma list of tracecontext and baggage, or none',
  }),
  OTEL_SDK_DISABLED: choose('false|true', 'true switches traces and metrics off'),
});

function optional(description: string, options: TStringOptions = {}) {
  return Type.Optional(Type.String({ ...options, description }));
}

/** @param milliseconds by default; an hour at most */
function time(milliseconds: number, text: string) {
  const description = `${text}; in milliseconds`;
  return Type.Integer({ minimum: 1, maximum: 3_600_000, default: milliseconds, description });
}

/** One of these, in any case; the first one is the default. */
function choose(names: string, description: string) {
  return Type.String({
    default: names.split('|')[0],
    pattern: ignoreCase(names),
    description,
    expected: names.replace(/\|(?=[^|]+$)/, ' or ').replaceAll('|', ', '),
  });
}

/**
 * An agent may know the others:
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#exporter-selection
 */
function chooseExporters(description: string) {
  return Type.String({
    default: 'otlp',
    pattern: ignoreCase(list('otlp|none|console|logging|prometheus|zipkin')),
    description,
    expected: 'otlp, none, or a comma list of exporters of which the app has otlp',
  });
}

function list(names: string): string {
  return `(${names})( *, *(${names}))*`;
}

function ignoreCase(pattern: string): string {
  return `^(${pattern.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`)})$`;
}
