import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import {
  type Attributes,
  type Context,
  context,
  type Histogram,
  metrics,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { readAddress } from '../../src/client-address.ts';
import {
  CLIENT_CLOSED_REQUEST,
  readPath,
  readStatus,
  SWITCHING_PROTOCOLS,
} from '../../src/request-log.ts';
import { DURATION_BUCKETS, describeMethod, describeServer, SCOPE } from './conventions.ts';
import { listen } from './listen.ts';
import { recordError } from './record-error.ts';

/** Node's own channel: it knows each request before any hook can refuse it. */
const CHANNEL = 'http.server.request.start';

const ORIGIN = /^https?:\/\/[^/]*/i;

interface Started {
  server: Server;
  request: IncomingMessage;
  response: ServerResponse;
}

interface RecordedRequest {
  span: Span;
  context: Context;
  startedAt: number;
  reply: FastifyReply | undefined;
}

/** A server span and a duration for each request, unless `config: { telemetry: false }`. */
export function recordRequests(app: FastifyInstance): void {
  const tracer = trace.getTracerProvider().getTracer(...SCOPE);
  const duration = metrics.getMeter(...SCOPE).createHistogram('http.server.request.duration', {
    description: 'Duration of HTTP server requests.',
    unit: 's',
    advice: { explicitBucketBoundaries: DURATION_BUCKETS },
  });
  const open = new WeakMap<IncomingMessage, RecordedRequest>();
  const start = (request: IncomingMessage, response: ServerResponse): RecordedRequest => {
    const parent = propagation.extract(ROOT_CONTEXT, request.headers);
    const { name } = describeMethod(request.method);
    const span = tracer.startSpan(name, { kind: SpanKind.SERVER }, parent);
    const startedAt = performance.now();
    const scope = trace.setSpan(parent, span);
    const record: RecordedRequest = { span, context: scope, startedAt, reply: undefined };
    open.set(request, record);
    // Before the request's line is logged.
    response.prependOnceListener('close', () => {
      // Another hook may have refused it.
      record.reply ??= app.openRequests.get(request)?.reply;
      finish(request, response, record, duration);
    });
    return record;
  };
  listen(app, {
    [CHANNEL]: ({ server, request, response }: Started) => {
      if (server === app.server) start(request, response);
    },
  });

  // Node reads a body outside of the context in which its reading began: the handler gets it again.
  app.addHook('onRequest', (request, reply, done) => enter(request, reply, done));
  app.addHook('preValidation', (request, reply, done) => {
    if (request.body === undefined) done();
    else enter(request, reply, done);
  });

  function enter(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    // The channel does not know a connection that is upgraded.
    const record = open.get(request.raw) ?? start(request.raw, reply.raw);
    record.reply = reply;
    const isRecorded = request.routeOptions.config.telemetry !== false;
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
  { span, context, startedAt, reply }: RecordedRequest,
  duration: Histogram,
): void {
  const request = reply?.request;
  if (request?.routeOptions.config.telemetry === false) return;
  if (request) request.logFields = { ...request.logFields, ...describeTrace(span) };
  const attributes = describeAnswer(message, response, reply);
  duration.record((performance.now() - startedAt) / 1_000, attributes, context);
  if (!span.isRecording()) return;
  const { name } = describeMethod(message.method);
  span.updateName([name, attributes['http.route']].filter(Boolean).join(' '));
  span.setAttributes({ ...attributes, ...describeClient(message, request) });
  if (reply?.failure) recordError(span, reply.failure);
  if (attributes['error.type']) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

/** What the span and the metric have in common. */
function describeAnswer(
  message: IncomingMessage,
  response: ServerResponse,
  reply?: FastifyReply,
): Attributes {
  const request = reply?.request;
  const { headersSent, statusCode } = response;
  const statusWithoutReply = headersSent ? statusCode : CLIENT_CLOSED_REQUEST;
  const status = reply ? readStatus(reply) : statusWithoutReply;
  // What no router can read was routed as another path.
  const route = request?.url === request?.originalUrl && request?.routeOptions.url;
  const isCut = status !== SWITCHING_PROTOCOLS && !response.writableFinished;
  const reason = reply?.failure?.name ?? 'client_closed_request';
  return {
    'http.request.method': describeMethod(message.method).attribute,
    // A proxy may pass on what a client says.
    'url.scheme': request?.protocol === 'https' ? 'https' : 'http',
    'network.protocol.version': message.httpVersion,
    ...(route && { 'http.route': route }),
    ...(status !== CLIENT_CLOSED_REQUEST && { 'http.response.status_code': status }),
    ...(isCut && { 'error.type': reason }),
    ...(status >= 500 && { 'error.type': String(status) }),
  };
}

/** Who asked whom for what, for the span alone: the query may carry secrets, and is left out. */
function describeClient(message: IncomingMessage, request?: FastifyRequest): Attributes {
  const { name } = describeMethod(message.method);
  const { 'user-agent': agent } = message.headers;
  return {
    // A proxy is asked with the whole URL.
    'url.path': readPath(request?.originalUrl ?? (message.url as string)).replace(ORIGIN, ''),
    'client.address': request ? readAddress(request) : message.socket.remoteAddress,
    ...(request?.hostname &&
      describeServer(request.hostname, request.port ?? (request.protocol === 'https' ? 443 : 80))),
    ...(agent && { 'user_agent.original': agent }),
    ...(name === 'HTTP' && { 'http.request.method_original': message.method }),
  };
}
