import type { Attributes, Context, Histogram, Span } from '@opentelemetry/api';
import { context, propagation, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { toError } from '../../src/error-log.ts';
import { hideSecrets } from '../../src/redaction.ts';
import { CLIENT_CLOSED, readPath, readStatus, SWITCHING_PROTOCOLS } from '../../src/request-log.ts';
import {
  createDuration,
  describeMethod,
  describeServer,
  FAILED,
  getTracer,
  recordError,
} from './conventions.ts';

/** Records a span and a duration for each request, except with `config: { telemetry: false }`. */
export function recordRequests(app: FastifyInstance): void {
  const description = 'Duration of HTTP server requests.';
  const duration = createDuration('http.server.request.duration', description);
  const scopes = new WeakMap<FastifyRequest, Context>();
  // This runs before a hook can refuse the request. Bytes that are not HTTP have no span.
  app.addHeaders((reply, caller) => {
    if ('raw' in caller && caller.routeOptions.config.telemetry !== false)
      scopes.set(caller as FastifyRequest, startRequest(reply as FastifyReply, duration));
  });
  app.enterRequest = (request, next) => context.with(scopes.get(request) ?? context.active(), next);
}

function startRequest(reply: FastifyReply, duration: Histogram): Context {
  const { method, headers } = reply.request;
  const parent = propagation.extract(ROOT_CONTEXT, headers);
  const { name } = describeMethod(method);
  const span = getTracer().startSpan(name, { kind: SpanKind.SERVER }, parent);
  const scope = trace.setSpan(parent, span);
  // This runs before the request's line is logged, so that the line gets the trace id.
  reply.raw.prependOnceListener('close', () => {
    const attributes = describeAnswer(reply);
    duration.record(reply.elapsedTime / 1_000, attributes, scope);
    endSpan(span, attributes, reply);
  });
  return scope;
}

function describeAnswer(reply: FastifyReply): Attributes {
  const { request, raw, failure } = reply;
  const status = readStatus(reply);
  // A URL that the router cannot read was replaced, so its route would be wrong.
  const route = request.url === request.originalUrl && request.routeOptions.url;
  const isCut = status !== SWITCHING_PROTOCOLS && !raw.writableFinished;
  return {
    'http.request.method': describeMethod(request.method).attribute,
    // Other values may come from the client, through a proxy.
    'url.scheme': request.protocol === 'https' ? 'https' : 'http',
    'network.protocol.version': request.raw.httpVersion,
    ...(route && { 'http.route': route }),
    ...(status !== CLIENT_CLOSED && { 'http.response.status_code': status }),
    ...(isCut && { 'error.type': failure ? toError(failure).name : 'client_closed_request' }),
    ...(status >= 500 && { 'error.type': String(status) }),
  };
}

function endSpan(span: Span, attributes: Attributes, { request, failure }: FastifyReply): void {
  request.logFields = { ...request.logFields, ...describeTrace(span) };
  if (!span.isRecording()) return;
  const { name } = describeMethod(request.method);
  span.updateName([name, attributes['http.route']].filter(Boolean).join(' '));
  span.setAttributes({ ...attributes, ...describeClient(request) });
  const isFailed = attributes['error.type'] !== undefined;
  if (isFailed && failure) recordError(span, toError(failure));
  if (isFailed) span.setStatus(FAILED);
  span.end();
}

export function describeTrace(span: Span | undefined): Record<string, string> {
  const { traceId, spanId } = span?.spanContext() ?? {};
  return traceId && spanId ? { traceId, spanId } : {};
}

/** Returns attributes of the span only. The query is left out, because it may contain secrets. */
function describeClient(request: FastifyRequest): Attributes {
  const { method, originalUrl, hostname, port, protocol, headers } = request;
  const { name } = describeMethod(method);
  const agent = headers['user-agent'];
  return {
    // A request to a proxy has the whole URL.
    'url.path': hideSecrets(readPath(originalUrl).replace(/^https?:\/\/[^/]*/i, '')),
    'client.address': request.clientAddress,
    ...(hostname && describeServer(hostname, port ?? (protocol === 'https' ? 443 : 80))),
    ...(agent && { 'user_agent.original': hideSecrets(agent) }),
    ...(name === 'HTTP' && { 'http.request.method_original': method }),
  };
}
