import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type Attributes,
  type Context,
  context,
  type Histogram,
  metrics,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import manifest from '../../package.json' with { type: 'json' };
import { readAddress } from '../../src/client-address.ts';
import { readPath } from '../../src/request-log.ts';
import { DURATION_BUCKETS, describeMethod } from './conventions.ts';
import { listen } from './listen.ts';
import { recordError } from './record-error.ts';

/** Node's own channel: it knows each request before any hook can refuse it. */
const CHANNEL = 'http.server.request.start';

interface OpenRequest {
  span: Span;
  context: Context;
  startedAt: number;
  /** Not there for a request that Fastify never saw. */
  request?: FastifyRequest;
  reply?: FastifyReply;
}

/** A server span and a duration for each request, but for routes with `config: { telemetry: false }`. */
export function recordRequests(app: FastifyInstance): void {
  const tracer = trace.getTracer(manifest.name, manifest.version);
  const duration = metrics.getMeter(manifest.name).createHistogram('http.server.request.duration', {
    description: 'Duration of HTTP server requests.',
    unit: 's',
    advice: { explicitBucketBoundaries: DURATION_BUCKETS },
  });
  const open = new WeakMap<IncomingMessage, OpenRequest>();
  const start = (message: unknown) => {
    const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
    const parent = propagation.extract(context.active(), request.headers);
    const span = tracer.startSpan(
      describeMethod(request.method).name,
      { kind: SpanKind.SERVER },
      parent,
    );
    const record = { span, context: trace.setSpan(parent, span), startedAt: performance.now() };
    open.set(request, record);
    response.once('close', () => finish(request, response, record, duration));
  };
  listen(app, { [CHANNEL]: start });

  // Node reads a body outside of the context in which its reading began: the handler gets it again.
  app.addHook('onRequest', (request, reply, done) => enter(request, reply, done));
  app.addHook('preValidation', (request, reply, done) => enter(request, reply, done));
  // A request that another hook refused comes by here only.
  app.addHook('onSend', (request, reply, payload, done) => {
    Object.assign(open.get(request.raw) ?? {}, { request, reply });
    done(null, payload);
  });

  function enter(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const record = open.get(request.raw);
    const isRecorded = record && request.routeOptions.config.telemetry !== false;
    if (isRecorded) request.logFields = { ...request.logFields, ...describeTrace(record.span) };
    Object.assign(record ?? {}, { request, reply });
    context.with(isRecorded ? record.context : context.active(), done);
  }
}

/** The ids of a trace as a line of the log has them. */
export function describeTrace(span: Span): { traceId: string; spanId: string } {
  const { traceId, spanId } = span.spanContext();
  return { traceId, spanId };
}

/** A span that never ends is never sent. */
function finish(
  message: IncomingMessage,
  response: ServerResponse,
  { span, context, startedAt, request, reply }: OpenRequest,
  duration: Histogram,
): void {
  if (request?.routeOptions.config.telemetry === false) return;
  const attributes = describeRequest(message, response, request);
  duration.record((performance.now() - startedAt) / 1_000, attributes, context);
  const { name } = describeMethod(message.method);
  span.updateName([name, attributes['http.route']].filter(Boolean).join(' '));
  span.setAttributes({
    ...attributes,
    'url.path': readPath(message.url as string),
    'client.address': request ? readAddress(request) : message.socket.remoteAddress,
    ...(name === 'HTTP' && { 'http.request.method_original': message.method }),
  });
  if (response.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  if (reply?.failure) recordError(span, reply.failure);
  span.end();
}

/** What the span and the metric have in common. */
function describeRequest(
  message: IncomingMessage,
  { statusCode, headersSent, writableFinished }: ServerResponse,
  request?: FastifyRequest,
): Attributes {
  const route = request?.routeOptions.url;
  return {
    'http.request.method': describeMethod(message.method).attribute,
    'url.scheme': request?.protocol ?? 'http',
    'network.protocol.version': message.httpVersion,
    ...(route && { 'http.route': route }),
    ...(headersSent && { 'http.response.status_code': statusCode }),
    ...(statusCode >= 500 && { 'error.type': String(statusCode) }),
    ...(!writableFinished && { 'error.type': 'client_closed_request' }),
  };
}
