import type { ClientRequest, IncomingMessage } from 'node:http';
import { context, DiagLogLevel, diag, ROOT_CONTEXT } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode, setGlobalErrorHandler } from '@opentelemetry/core';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { watchChannels } from './channels.ts';

const WARNING_INTERVAL_MS = 60_000;

/** Collectors ask for seconds or minutes. A proxy or a wrong clock may ask for days. */
const MAX_PAUSE_MS = 600_000;

type Exporter = { export(items: never, done: (result: ExportResult) => void): void };

interface Attempt {
  request: ClientRequest;
  response: IncomingMessage;
  error: Error;
}

/** Logs once that the collector fails, and once that it is back, at most once a minute each. */
export class CollectorHealth {
  readonly #log: FastifyBaseLogger;
  #isDown = false;
  #warnedAt = Number.NEGATIVE_INFINITY;
  /** When pauses end, by performance.now(). The key is the last part of the exporters' URL. */
  readonly #pauses = new Map<string, number>();
  /** Exporters report a partial refusal or a non-OTLP answer only to `diag`, and as a success. */
  #complaint: Error | undefined;

  constructor(app: FastifyInstance) {
    this.#log = app.log;
    const silent = () => undefined;
    const warn = (...parts: unknown[]) => {
      this.#complaint = new Error(parts.slice(0, 3).join(' '));
      // An exporter ends its export in the same turn. Later warnings have other causes.
      queueMicrotask(() => {
        this.#complaint = undefined;
      });
    };
    const logger = { warn, error: silent, info: silent, debug: silent, verbose: silent };
    diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
    setGlobalErrorHandler(silent);
    this.#watchAttempts(app);
  }

  /** Notes the result of each export. Sends nothing in a pause that the collector asked for. */
  guard(signal: 'traces' | 'metrics', exporters: Exporter[]): void {
    for (const exporter of exporters) {
      const send = exporter.export.bind(exporter);
      exporter.export = (items, done) => {
        const end = this.#pauses.get(signal) ?? 0;
        if (performance.now() < end) return done({ code: ExportResultCode.FAILED });
        send(items, (result) => {
          this.#noteResult(result.error ?? this.#complaint);
          done(result);
        });
      };
    }
  }

  /** Watches each attempt, because exporters report only the last. Filters by user agent. */
  #watchAttempts(app: FastifyInstance): void {
    const watch = (note: (attempt: Attempt) => void) => (attempt: Attempt) => {
      const agent = String(attempt.request.getHeader('user-agent'));
      if (agent.startsWith('OTel-OTLP-Exporter')) note(attempt);
    };
    watchChannels(app, {
      'http.client.response.finish': watch((attempt) => this.#noteAnswer(attempt)),
      'http.client.request.error': watch(({ error }) => this.#noteFailure(error)),
    });
  }

  #noteAnswer({ request, response }: Attempt): void {
    const { statusCode = 0, headers } = response;
    if (statusCode < 400) return;
    this.#noteFailure(new Error(`The collector answered ${statusCode}`));
    const retryAfter = headers['retry-after'];
    if (!retryAfter) return;
    const seconds = Number(retryAfter);
    const pauseMs = Number.isNaN(seconds) ? Date.parse(retryAfter) - Date.now() : seconds * 1_000;
    const signal = request.path.slice(request.path.lastIndexOf('/') + 1);
    this.#pauses.set(signal, performance.now() + Math.min(pauseMs, MAX_PAUSE_MS));
  }

  #noteResult(error: Error | undefined): void {
    if (error) this.#noteFailure(error);
    else if (this.#isDown) {
      this.#isDown = false;
      this.#write(() => this.#log.info('The collector is back'));
    }
  }

  #noteFailure(err: Error): void {
    if (performance.now() - this.#warnedAt < WARNING_INTERVAL_MS) return;
    this.#warnedAt = performance.now();
    this.#isDown = true;
    const message = 'The collector fails: traces and metrics are tried again, then dropped';
    this.#write(() => this.#log.warn({ err }, message));
  }

  /** Without the trace of the request that happened to start the exporter's timer. */
  #write(log: () => void): void {
    context.with(ROOT_CONTEXT, log);
  }
}
