import type { Attributes, Histogram, Meter, Span, Tracer } from '@opentelemetry/api';
import { metrics, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  CompositePropagator,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from '@opentelemetry/core';
import manifest from '../../package.json' with { type: 'json' };
import { toError } from '../../src/error-log.ts';
import { hideSecrets } from '../../src/redaction.ts';

/** The names for the pool and for jobs are not stable in this version. `job.outcome` is our own. */
const SCHEMA = { schemaUrl: 'https://opentelemetry.io/schemas/1.45.0' };
const SCOPE = [manifest.name, manifest.version, SCHEMA] as const;

/** The longest value of an attribute, in characters. Longer statements are cut. */
export const MAX_LENGTH = 4_096;

export const FAILED = { code: SpanStatusCode.ERROR };

/** Buckets of durations in seconds, from the semantic conventions for HTTP metrics. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** The methods of RFC 9110 and RFC 5789, and QUERY. A client could write anything else. */
const METHODS = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE|QUERY)$/;

export function getTracer(): Tracer {
  return trace.getTracerProvider().getTracer(...SCOPE);
}

export function getMeter(): Meter {
  return metrics.getMeter(...SCOPE);
}

/** The propagator of a list of names, as in OTEL_PROPAGATORS. */
export function readPropagator(names: string): CompositePropagator {
  const propagators = [
    ...(names.includes('tracecontext') ? [new W3CTraceContextPropagator()] : []),
    ...(names.includes('baggage') ? [new W3CBaggagePropagator()] : []),
  ];
  return new CompositePropagator({ propagators });
}

export function createDuration(name: string, description: string): Histogram {
  const advice = { explicitBucketBoundaries: BUCKETS };
  return getMeter().createHistogram(name, { description, unit: 's', advice });
}

export function describeMethod(method = ''): { name: string; attribute: string } {
  return METHODS.test(method)
    ? { name: method, attribute: method }
    : { name: 'HTTP', attribute: '_OTHER' };
}

/** @param hostname from a URL, so an IPv6 address has brackets */
export function describeServer(hostname: string, port: number | string): Attributes {
  return { 'server.address': hostname.replace(/^\[|\]$/g, ''), 'server.port': Number(port) };
}

/** Adds an error to a span, without the secrets in its message and stack. Returns its type. */
export function recordError(span: Span, thrown: unknown): string {
  const { name, message, stack, code } = toError(thrown) as Error & { code?: unknown };
  // The code of a DOMException is only a number. The other fields may have any type.
  const type = typeof code === 'string' ? code : String(name);
  span.setAttribute('error.type', type).setStatus(FAILED);
  const texts = { message: hideSecrets(String(message)), stack: hideSecrets(String(stack ?? '')) };
  span.recordException({ name: type, ...texts });
  return type;
}
