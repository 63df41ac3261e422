import {
  type Attributes,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { FastifyInstance } from 'fastify';
import { readPath, SWITCHING_PROTOCOLS } from '../../src/request-log.ts';
import { describeMethod, describeServer, getTracer, recordError } from './conventions.ts';
import { listen } from './listen.ts';

/** The message of undici's channels about a request. Node's fetch uses them too. */
interface Call {
  request: {
    origin: string | URL;
    path: string;
    method: string;
    addHeader(name: string, value: string): void;
  };
  response: { statusCode: number };
  error: Error;
}

/** Records a client span for each call by undici or fetch in a trace. The service continues it. */
export function recordCalls(app: FastifyInstance): void {
  const spans = new WeakMap<object, Span>();
  listen<Call>(app, {
    'undici:request:create': ({ request }) => {
      // The app's own calls, such as health checks, belong to no trace.
      if (trace.getActiveSpan()) spans.set(request, startCall(request));
    },
    // The body may never be read:
    // https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span-duration
    'undici:request:headers': ({ request, response: { statusCode } }) => {
      if (statusCode < 200 && statusCode !== SWITCHING_PROTOCOLS) return;
      const span = spans.get(request);
      if (span) recordStatus(span, statusCode);
      span?.end();
    },
    'undici:request:error': ({ request, error }) => {
      const span = spans.get(request);
      if (!span?.isRecording()) return;
      recordError(span, error);
      span.end();
    },
  });
}

function startCall(request: Call['request']): Span {
  const { name } = describeMethod(request.method);
  const attributes = describeCall(request);
  const span = getTracer().startSpan(name, { kind: SpanKind.CLIENT, attributes });
  propagation.inject(trace.setSpan(context.active(), span), request, {
    set: (_carrier, header, value) => request.addHeader(header, value),
  });
  return span;
}

function recordStatus(span: Span, statusCode: number): void {
  span.setAttribute('http.response.status_code', statusCode);
  if (statusCode < 400) return;
  span.setAttribute('error.type', String(statusCode)).setStatus({ code: SpanStatusCode.ERROR });
}

/** Leaves out the query, because it may contain secrets. */
function describeCall({ origin, path, method }: Call['request']): Attributes {
  const { protocol, hostname, port, origin: base } = new URL(origin);
  return {
    'http.request.method': describeMethod(method).attribute,
    'url.full': base + readPath(path),
    ...describeServer(hostname, port || (protocol === 'https:' ? 443 : 80)),
  };
}
