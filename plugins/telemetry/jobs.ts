import type { Attributes, Span } from '@opentelemetry/api';
import {
  context,
  defaultTextMapGetter,
  defaultTextMapSetter,
  SpanKind,
  ValueType,
} from '@opentelemetry/api';
import type { FastifyInstance } from 'fastify';
import { createDuration, getMeter, getTracer, readPropagator, recordError } from './conventions.ts';

type Headers = Record<string, string>;

/** Not OTEL_PROPAGATORS, which is about other services: a job is in the app's own database. */
const propagator = readPropagator('tracecontext,baggage');

/** Records a producer span for each job sent, a child consumer span for each run, and metrics. */
export function recordJobs(app: FastifyInstance): void {
  const observer = { send: observeSending(), run: observeRuns() };
  // An app may have no jobs.
  app.addHook('onReady', async () => Reflect.get(app, 'jobs')?.observe(observer));
}

function observeSending() {
  const description = 'Number of jobs that were sent.';
  const options = { description, unit: '{message}', valueType: ValueType.INT };
  const sent = getMeter().createCounter('messaging.client.sent.messages', options);
  return (name: string, next: (headers: Headers) => Promise<string | null>) =>
    runInSpan(SpanKind.PRODUCER, 'send', name, async (span, attributes) => {
      const headers: Headers = {};
      propagator.inject(context.active(), headers, defaultTextMapSetter);
      const id = await next(headers);
      if (id) sent.add(1, attributes);
      if (id) span.setAttribute('messaging.message.id', id);
      return id;
    });
}

function observeRuns() {
  const duration = createDuration('messaging.process.duration', 'Duration of runs of jobs.');
  return <Result extends { outcome: string; durationMs: number; err?: Error }>(
    { name, id, headers }: { name: string; id: string; headers: Headers },
    next: () => Promise<Result>,
  ) =>
    context.with(propagator.extract(context.active(), headers, defaultTextMapGetter), () =>
      runInSpan(SpanKind.CONSUMER, 'process', name, async (span, attributes) => {
        const result = await next();
        const { outcome, durationMs, err } = result;
        const ended = { ...attributes, 'job.outcome': outcome };
        span.setAttributes({ ...ended, 'messaging.message.id': id });
        const failure = err && { 'error.type': recordError(span, err) };
        duration.record(durationMs / 1_000, { ...ended, ...failure });
        return result;
      }),
    );
}

function runInSpan<T>(
  kind: SpanKind,
  operation: 'send' | 'process',
  name: string,
  work: (span: Span, attributes: Attributes) => Promise<T>,
): Promise<T> {
  const attributes = {
    'messaging.system': 'pg-boss',
    'messaging.destination.name': name,
    'messaging.operation.name': operation,
    'messaging.operation.type': operation,
  };
  return getTracer().startActiveSpan(`${operation} ${name}`, { kind, attributes }, (span) =>
    work(span, attributes)
      .catch((error) => {
        recordError(span, error);
        throw error;
      })
      .finally(() => span.end()),
  );
}
