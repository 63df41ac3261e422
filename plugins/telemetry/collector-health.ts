import type { DiagLogger } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { FastifyBaseLogger } from 'fastify';

/** How often the log may say that the collector fails, in milliseconds. */
const WARNING_INTERVAL_MS = 60_000;

/** Says once that the collector fails, and once that it is back, at most once a minute each. */
export class CollectorHealth implements DiagLogger {
  readonly #log: FastifyBaseLogger;
  #isDown = false;
  #warnedAt = Number.NEGATIVE_INFINITY;
  /** What the SDK said of the answer of an export that counts as done. */
  #complaint: string | undefined;

  constructor(log: FastifyBaseLogger) {
    this.#log = log;
  }

  /** Takes note of how an export ended, and returns that. */
  note(result: ExportResult): ExportResult {
    const complaint = this.#complaint;
    this.#complaint = undefined;
    if (result.code === ExportResultCode.SUCCESS && !complaint) this.#sayBack();
    else this.#sayDown(result.error ?? new Error(complaint ?? 'It refused what was sent'));
    return result;
  }

  /** An answer that is no OTLP, or that refuses a part, is only said here. */
  warn(message: string): void {
    this.#complaint = message;
  }

  error(): void {}
  info(): void {}
  debug(): void {}
  verbose(): void {}

  #sayDown(err: Error): void {
    if (performance.now() - this.#warnedAt < WARNING_INTERVAL_MS) return;
    this.#warnedAt = performance.now();
    this.#isDown = true;
    this.#log.warn({ err }, 'The collector fails: traces and metrics are dropped until it is back');
  }

  #sayBack(): void {
    if (this.#isDown) this.#log.info('The collector is back');
    this.#isDown = false;
  }
}
