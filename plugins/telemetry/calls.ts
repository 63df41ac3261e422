import type { Span } from '@opentelemetry/api';
import { context, propagation, SpanKind, trace } from '@opentelemetry/api';
import type { FastifyInstance } from 'fastify';
import { hideSecrets } from '../../src/redaction.ts';
import { readPath, SWITCHING_PROTOCOLS } from '../../src/request-log.ts';
import { watchChannels } from './channels.ts';
import { describeMethod, describeServer, FAILED, getTracer, recordError } from './conventions.ts';

/** The message of undici's channels about a request. Node's fetch uses them too. */
interface Call {
  request: {
    origin: string | URL;
    path: string;
    method: string;
    /** Names and values in turn. */
    headers: string[];
    addHeader(name: string, value: string): void;
  };
  response: { statusCode: number };
  error: Error;
}

/** Records a client span for each call by undici or fetch in a trace. The service continues it. */
export function recordCalls(app: FastifyInstance): void {
  const spans = new WeakMap<object, Span>();
  watchChannels<Call>(app, {
    'undici:request:create': ({ request }) => {
      // The app's own calls, such as health checks, belong to no trace. CONNECT is for a proxy.
      if (trace.getActiveSpan() && request.method !== 'CONNECT')
        spans.set(request, startCall(request));
    },
    // The body may never be read (semantic conventions, "HTTP client span duration").
    'undici:request:headers': ({ request, response: { statusCode } }) => {
      if (statusCode < 200 && statusCode !== SWITCHING_PROTOCOLS) return;
      const span = spans.get(request)?.setAttribute('http.response.status_code', statusCode);
      if (statusCode >= 400) span?.setAttribute('error.type', `${statusCode}`).setStatus(FAILED);
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

/** Starts a span, and sends its ids with the call. It has no query, which may contain secrets. */
function startCall(request: Call['request']): Span {
  const { name, attribute } = describeMethod(request.method);
  // A call through a proxy has the whole URL as its path.
  const whole = URL.parse(request.path);
  const { protocol, hostname, port, origin } = whole ?? new URL(request.origin);
  const attributes = {
    'http.request.method': attribute,
    'url.full': origin + hideSecrets(readPath(whole?.pathname ?? request.path)),
    ...describeServer(hostname, port || (protocol === 'https:' ? 443 : 80)),
  };
  const span = getTracer().startSpan(name, { kind: SpanKind.CLIENT, attributes });
  removePassedHeaders(request);
  propagation.inject(trace.setSpan(context.active(), span), request, {
    set: (_carrier, header, value) => request.addHeader(header, value),
  });
  return span;
}

/** A handler may pass its caller's headers on. The service would ignore a second traceparent. */
function removePassedHeaders({ headers }: Call['request']): void {
  const fields = propagation.fields();
  for (let index = headers.length - 2; index >= 0; index -= 2)
    if (fields.includes(`${headers[index]}`.toLowerCase())) headers.splice(index, 2);
}
