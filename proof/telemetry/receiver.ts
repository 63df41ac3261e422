import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
// The protobufjs classes of OpenTelemetry's .proto definitions.
import root from '@opentelemetry/otlp-transformer/build/src/generated/root.js';

interface Definition {
  decode(bytes: Buffer): object;
  toObject(message: object, options: object): object;
}

interface Definitions {
  opentelemetry: {
    proto: {
      collector: {
        trace: { v1: { ExportTraceServiceRequest: Definition } };
        metrics: { v1: { ExportMetricsServiceRequest: Definition } };
      };
    };
  };
}

const { trace, metrics } = (root as unknown as Definitions).opentelemetry.proto.collector;

/** The instrumentation scope and the version of the conventions. */
interface Scoped {
  scope: string;
  schemaUrl: string;
}

export interface ReceivedSpan extends Scoped {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  kind: string | number;
  status: string | number;
  attributes: Record<string, unknown>;
  service: unknown;
  instance: unknown;
}

export interface ReceivedMetric extends Scoped {
  name: string;
  unit: string;
  form: 'sum' | 'histogram' | 'gauge';
  temporality: string | number | undefined;
  points: { attributes: Record<string, unknown> }[];
  instance: unknown;
}

// biome-ignore lint/suspicious/noExplicitAny: the definitions decide its form.
type Message = any;

/** A collector that decodes and keeps what it receives, as protobuf or JSON. */
export class Receiver implements AsyncDisposable {
  readonly spans: ReceivedSpan[] = [];
  readonly metrics: ReceivedMetric[] = [];
  /** The times of the requests, by performance.now(). */
  readonly times: number[] = [];
  /** Answers requests instead of accepting their data. */
  fault: ((response: ServerResponse) => void) | undefined;
  readonly #server: Server;
  readonly #scheme: string;

  private constructor(tls?: ServerOptions) {
    const receive: RequestListener = (request, response) => void this.#receive(request, response);
    this.#server = tls ? createTlsServer(tls, receive) : createServer(receive);
    this.#scheme = tls ? 'https' : 'http';
  }

  /** @param tls for a collector at https: */
  static async start(tls?: ServerOptions): Promise<Receiver> {
    const receiver = new Receiver(tls);
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    this.times.push(performance.now());
    if (this.fault) return this.fault(response);
    const isJson = request.headers['content-type'] === 'application/json';
    this.#keep(request.url as string, decode(request.url as string, isJson, Buffer.concat(chunks)));
    response.setHeader('content-type', request.headers['content-type'] as string);
    response.end(isJson ? '{}' : '');
  }

  #keep(url: string, message: Message): void {
    if (url === '/v1/traces')
      for (const { resource, scopeSpans } of message.resourceSpans)
        for (const { scope, schemaUrl, spans } of scopeSpans)
          for (const span of spans)
            this.spans.push({ ...readSpan(span, resource), scope: scope.name, schemaUrl });
    else
      for (const { resource, scopeMetrics } of message.resourceMetrics)
        for (const { scope, schemaUrl, metrics } of scopeMetrics)
          for (const metric of metrics)
            this.metrics.push({ ...readMetric(metric, resource), scope: scope.name, schemaUrl });
  }
}

function decode(url: string, isJson: boolean, body: Buffer): object {
  if (isJson) return JSON.parse(body.toString());
  const definition =
    url === '/v1/traces'
      ? trace.v1.ExportTraceServiceRequest
      : metrics.v1.ExportMetricsServiceRequest;
  // Bytes and numbers become strings, as in OTLP/JSON, except ids, which are base64 here.
  return definition.toObject(definition.decode(body), {
    bytes: String,
    longs: String,
    arrays: true,
  });
}

function readSpan(span: Message, resource: Message): Omit<ReceivedSpan, keyof Scoped> {
  return {
    traceId: readId(span.traceId),
    spanId: readId(span.spanId),
    parentSpanId: readId(span.parentSpanId ?? ''),
    name: span.name,
    kind: span.kind,
    status: span.status?.code ?? 0,
    attributes: readAttributes(span.attributes),
    service: readAttributes(resource.attributes)['service.name'],
    instance: readAttributes(resource.attributes)['service.instance.id'],
  };
}

function readMetric(
  { name, unit, ...data }: Message,
  resource: Message,
): Omit<ReceivedMetric, keyof Scoped> {
  const form = (['sum', 'histogram', 'gauge'] as const).find((key) => data[key])!;
  return {
    name,
    unit,
    form,
    temporality: data[form].aggregationTemporality,
    points: data[form].dataPoints.map((point: { attributes: Attribute[] }) => ({
      ...point,
      attributes: readAttributes(point.attributes),
    })),
    instance: readAttributes(resource.attributes)['service.instance.id'],
  };
}

/** Returns the id as hexadecimal, as in JSON; protobuf's bytes are base64. */
function readId(id: string): string {
  return /^([0-9a-f]{16}|[0-9a-f]{32})?$/.test(id) ? id : Buffer.from(id, 'base64').toString('hex');
}

interface Attribute {
  key: string;
  value: Record<string, unknown>;
}

function readAttributes(list: Attribute[] = []): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]));
}
