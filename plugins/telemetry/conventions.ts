import {
  type Attributes,
  type Histogram,
  type Meter,
  metrics,
  type Span,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import manifest from '../../package.json' with { type: 'json' };
import { hideSecrets } from '../../src/redaction.ts';

/**
 * Who records: the app itself, by the semantic conventions of this version. Their names of the pool
 * and of jobs are not stable yet; `job.outcome` is our own.
 */
const SCOPE = [
  manifest.name,
  manifest.version,
  { schemaUrl: 'https://opentelemetry.io/schemas/1.45.0' },
] as const;

/** The longest value of an attribute, in characters; a statement can be longer. */
export const MAX_VALUE_LENGTH = 4_096;

/** Buckets of durations in seconds, as the conventions of HTTP metrics advise. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** The methods that RFC 9110 and RFC 5789 know: another could be anything that a client writes. */
const METHODS = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE)$/;

export function getTracer(): Tracer {
  return trace.getTracerProvider().getTracer(...SCOPE);
}

export function getMeter(): Meter {
  return metrics.getMeter(...SCOPE);
}

/** A histogram of durations in seconds. */
export function createDuration(name: string, description: string): Histogram {
  const advice = { explicitBucketBoundaries: BUCKETS };
  return getMeter().createHistogram(name, { description, unit: 's', advice });
}

/** A method as a span's name begins with it, and as attributes have it. */
export function describeMethod(method = ''): { name: string; attribute: string } {
  return METHODS.test(method)
    ? { name: method, attribute: method }
    : { name: 'HTTP', attribute: '_OTHER' };
}

/** @param hostname of a URL, where an IPv6 address is in brackets */
export function describeServer(hostname: string, port: number | string): Attributes {
  return { 'server.address': hostname.replace(/^\[|\]$/g, ''), 'server.port': Number(port) };
}

/** Adds an error to a span, without the secrets that its message may carry. */
export function recordError(span: Span, error: Error): void {
  const name = readErrorType(error);
  // What was thrown may have anything as its message.
  const message = hideSecrets(String(error.message));
  span.setAttribute('error.type', name).setStatus({ code: SpanStatusCode.ERROR });
  span.recordException({ name, message, stack: hideSecrets(String(error.stack ?? '')) });
}

/** A DOMException, such as an AbortError, has a number as its code. */
export function readErrorType({ name, code }: Error & { code?: unknown }): string {
  return typeof code === 'string' ? code : name;
}
