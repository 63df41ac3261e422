import {
  type Attributes,
  type Context,
  context,
  type Histogram,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import {
  CLIENT_CLOSED_REQUEST,
  readPath,
  readStatus,
  SWITCHING_PROTOCOLS,
} from '../../src/request-log.ts';
import {
  createDuration,
  describeMethod,
  describeServer,
  getTracer,
  recordError,
} from './conventions.ts';

/** A server span and a duration for each request, unless `config: { telemetry: false }`. */
export function recordRequests(app: FastifyInstance): void {
  const description = 'Duration of HTTP server requests.';
  const duration = createDuration('http.server.request.duration', description);
  const scopes = new WeakMap<FastifyRequest, Context>();
  // Before any hook can refuse it. What is no request, as its parser found, has no span.
  app.addHeaders((reply, caller) => {
    if ('raw' in caller && caller.routeOptions.config.telemetry !== false)
      scopes.set(caller as FastifyRequest, startRequest(reply as FastifyReply, duration));
  });
  const enter = (request: FastifyRequest, _reply: FastifyReply, next: () => void) => {
    const scope = scopes.get(request);
    if (scope) context.with(scope, next);
    else next();
  };
  app.addHook('onRequest', enter);
  // Node reads a body outside of the context in which its reading began: the handler gets it again.
  app.addHook('preValidation', (request, reply, next) => {
    if (request.body === undefined) next();
    else enter(request, reply, next);
  });
}

/** @returns the context of a span, which ends with the answer */
function startRequest(reply: FastifyReply, duration: Histogram): Context {
  const { method, headers } = reply.request;
  const parent = propagation.extract(ROOT_CONTEXT, headers);
  const span = getTracer().startSpan(
    describeMethod(method).name,
    { kind: SpanKind.SERVER },
    parent,
  );
  const scope = trace.setSpan(parent, span);
  // Before the request's line is logged.
  reply.raw.prependOnceListener('close', () => {
    const attributes = describeAnswer(reply);
    duration.record(reply.elapsedTime / 1_000, attributes, scope);
    endSpan(span, attributes, reply);
  });
  return scope;
}

/** What the span and the metric have in common. */
function describeAnswer(reply: FastifyReply): Attributes {
  const { request, raw, failure } = reply;
  const status = readStatus(reply);
  // What no router can read was routed as another path.
  const route = request.url === request.originalUrl && request.routeOptions.url;
  const isCut = status !== SWITCHING_PROTOCOLS && !raw.writableFinished;
  return {
    'http.request.method': describeMethod(request.method).attribute,
    // A proxy may pass on what a client says.
    'url.scheme': request.protocol === 'https' ? 'https' : 'http',
    'network.protocol.version': request.raw.httpVersion,
    ...(route && { 'http.route': route }),
    ...(status !== CLIENT_CLOSED_REQUEST && { 'http.response.status_code': status }),
    ...(isCut && { 'error.type': failure?.name ?? 'client_closed_request' }),
    ...(status >= 500 && { 'error.type': String(status) }),
  };
}

function endSpan(span: Span, attributes: Attributes, { request, failure }: FastifyReply): void {
  request.logFields = { ...request.logFields, ...describeTrace(span) };
  if (!span.isRecording()) return;
  const { name } = describeMethod(request.method);
  span.updateName([name, attributes['http.route']].filter(Boolean).join(' '));
  span.setAttributes({ ...attributes, ...describeClient(request) });
  if (failure) recordError(span, failure);
  if (attributes['error.type']) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

/** The ids of a trace as a line of the log has them. */
export function describeTrace(span: Span | undefined): Record<string, string> {
  const { traceId, spanId } = span?.spanContext() ?? {};
  return traceId && spanId ? { traceId, spanId } : {};
}

/** Who asked whom for what, for the span alone: the query may carry secrets, and is left out. */
function describeClient(request: FastifyRequest): Attributes {
  const { method, originalUrl, hostname, port, protocol, headers } = request;
  const { name } = describeMethod(method);
  const agent = headers['user-agent'];
  return {
    // A proxy is asked with the whole URL.
    'url.path': readPath(originalUrl).replace(/^https?:\/\/[^/]*/i, ''),
    'client.address': request.clientAddress,
    ...(hostname && describeServer(hostname, port ?? (protocol === 'https' ? 443 : 80))),
    ...(agent && { 'user_agent.original': agent }),
    ...(name === 'HTTP' && { 'http.request.method_original': method }),
  };
}
