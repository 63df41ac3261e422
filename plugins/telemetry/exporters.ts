import type { ClientRequest, IncomingMessage } from 'node:http';
import { DiagLogLevel, diag } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode, setGlobalErrorHandler } from '@opentelemetry/core';
import type { PushMetricExporter } from '@opentelemetry/sdk-metrics';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { listen } from './listen.ts';

/** How often the log may say that the collector fails, in milliseconds. */
const WARNING_INTERVAL_MS = 60_000;

type Export = (items: never, done: (result: ExportResult) => void) => void;

/** OpenTelemetry's exporters, which read the variables that begin with OTEL_EXPORTER_OTLP_ by themselves. */
export async function createExporters(
  app: FastifyInstance,
): Promise<{ traces: SpanExporter; metrics: PushMetricExporter }> {
  const { OTLPTraceExporter, OTLPMetricExporter } =
    app.config.OTEL_EXPORTER_OTLP_PROTOCOL === 'http/json'
      ? {
          ...(await import('@opentelemetry/exporter-trace-otlp-http')),
          ...(await import('@opentelemetry/exporter-metrics-otlp-http')),
        }
      : {
          ...(await import('@opentelemetry/exporter-trace-otlp-proto')),
          ...(await import('@opentelemetry/exporter-metrics-otlp-proto')),
        };
  const health = watchCollector(app);
  const guard = (send: Export, isBusy = () => false): Export => {
    return (items, done) =>
      health.isPaused || isBusy()
        ? done({ code: ExportResultCode.FAILED })
        : send(items, (result) => {
            health.noteResult(result);
            done(result);
          });
  };
  const timeoutMillis = app.config.OTEL_EXPORTER_OTLP_TIMEOUT;
  const traces = new OTLPTraceExporter({ timeoutMillis });
  traces.export = guard(traces.export.bind(traces));
  const metrics = new OTLPMetricExporter({ timeoutMillis });
  // Metrics are sums: while one export waits to be tried again, the next can be left out.
  let isSending = false;
  const send = metrics.export.bind(metrics);
  metrics.export = guard(
    (items, done) => {
      isSending = true;
      send(items, (result) => {
        isSending = false;
        done(result);
      });
    },
    () => isSending,
  );
  return { traces, metrics };
}

/** Says once that the collector fails, and once that it is back, at most once a minute each. */
class CollectorHealth {
  readonly #log: FastifyBaseLogger;
  #isDown = false;
  #warnedAt = Number.NEGATIVE_INFINITY;
  #pausedUntil = 0;
  /** An answer that is no OTLP, or that refuses a part, counts as success and is only said to `diag`. */
  #complaint: string | undefined;

  constructor({ log }: FastifyInstance) {
    this.#log = log;
    const silent = () => undefined;
    const warn = (message: string) => {
      this.#complaint = message;
    };
    const logger = { warn, error: silent, info: silent, debug: silent, verbose: silent };
    diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
    setGlobalErrorHandler(silent);
  }

  /** Whether the collector has asked for a pause that is not over. */
  get isPaused(): boolean {
    return Date.now() < this.#pausedUntil;
  }

  /** Takes note of one answer: an exporter itself tells only how its last attempt ended. */
  noteAnswer({ statusCode = 0, headers: { 'retry-after': retryAfter } }: IncomingMessage): void {
    if (statusCode >= 400) this.noteFailure(new Error(`It answered ${statusCode}`));
    if (!retryAfter) return;
    const seconds = Number(retryAfter);
    const time = Number.isNaN(seconds) ? Date.parse(retryAfter) : Date.now() + seconds * 1_000;
    this.#pausedUntil = time;
  }

  noteResult({ code, error }: ExportResult): void {
    const complaint = this.#complaint;
    this.#complaint = undefined;
    if (error || complaint || code === ExportResultCode.FAILED)
      this.noteFailure(error ?? new Error(complaint ?? 'It refused what was sent'));
    else if (this.#isDown) {
      this.#isDown = false;
      this.#log.info('The collector is back');
    }
  }

  noteFailure(err: Error): void {
    if (performance.now() - this.#warnedAt < WARNING_INTERVAL_MS) return;
    this.#warnedAt = performance.now();
    this.#isDown = true;
    this.#log.warn({ err }, 'The collector fails: traces and metrics are dropped until it is back');
  }
}

/** What Node's own channels tell of a request. */
interface Attempt {
  request: ClientRequest;
  response: IncomingMessage;
  error: Error;
}

/** Follows each attempt of the exporters, which are known by their user agent. */
function watchCollector(app: FastifyInstance): CollectorHealth {
  const health = new CollectorHealth(app);
  const isExporter = ({ request }: Attempt) =>
    /^OTel-OTLP-Exporter/.test(String(request.getHeader('user-agent')));
  const listeners: Record<string, (attempt: Attempt) => void> = {
    'http.client.response.finish': (attempt) => {
      if (isExporter(attempt)) health.noteAnswer(attempt.response);
    },
    'http.client.request.error': (attempt) => {
      if (isExporter(attempt)) health.noteFailure(attempt.error);
    },
  };
  listen(app, listeners);
  return health;
}
