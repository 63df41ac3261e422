import {
  type Attributes,
  context,
  metrics,
  propagation,
  type Span,
  SpanKind,
  type SpanOptions,
  trace,
  ValueType,
} from '@opentelemetry/api';
import type { FastifyInstance } from 'fastify';
import * as conventions from './conventions.ts';
import { readErrorType, recordError } from './record-error.ts';

type Headers = Record<string, string>;

type Send = (headers: Headers) => Promise<string | null>;

interface Result {
  outcome: string;
  durationMs: number;
  err?: Error;
}

/** What plugins/jobs.ts lets one observe; an app can do without it. */
interface Jobs {
  observe(observer: {
    send(name: string, next: Send): ReturnType<Send>;
    run<R extends Result>(
      run: { name: string; id: string; headers: Headers },
      next: () => Promise<R>,
    ): Promise<R>;
  }): void;
}

/** A producer span for each job sent, a consumer span, its child, for each run; and metrics. */
export function recordJobs(app: FastifyInstance): void {
  const meter = metrics.getMeter(...conventions.SCOPE);
  const sent = meter.createCounter(conventions.JOBS_SENT, {
    description: 'Number of jobs that were sent.',
    unit: '{message}',
    valueType: ValueType.INT,
  });
  const duration = meter.createHistogram(conventions.JOB_DURATION, {
    description: 'Duration of runs of jobs.',
    unit: 's',
    advice: { explicitBucketBoundaries: conventions.DURATION_BUCKETS },
  });
  app.addHook('onReady', async () => {
    const jobs: Jobs | undefined = Reflect.get(app, 'jobs');
    jobs?.observe({
      async send(name, next) {
        const attributes = describeJob(name, 'send');
        return startSpan({ kind: SpanKind.PRODUCER, attributes }, async (span) => {
          const headers: Headers = {};
          propagation.inject(context.active(), headers);
          const id = await next(headers);
          // null: its key kept it away.
          if (id) sent.add(1, attributes);
          if (id) span.setAttribute(conventions.MESSAGE_ID, id);
          return id;
        });
      },
      run({ name, id, headers }, next) {
        const common = describeJob(name, 'process');
        const attributes = { ...common, [conventions.MESSAGE_ID]: id };
        const run = () =>
          startSpan({ kind: SpanKind.CONSUMER, attributes }, async (span) => {
            const result = await next();
            const { outcome, durationMs, err } = result;
            const ended = { ...common, [conventions.JOB_OUTCOME]: outcome };
            span.setAttributes(ended);
            if (err) recordError(span, err);
            const failure = err && { 'error.type': readErrorType(err) };
            duration.record(durationMs / 1_000, { ...ended, ...failure });
            return result;
          });
        return context.with(propagation.extract(context.active(), headers), run);
      },
    });
  });
}

/** Runs `work` within a span, which ends with it and has its error. */
function startSpan<T>(options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T> {
  const { [conventions.OPERATION_NAME]: operation, [conventions.QUEUE_NAME]: name } =
    options.attributes as Attributes;
  const tracer = trace.getTracerProvider().getTracer(...conventions.SCOPE);
  return tracer.startActiveSpan(`${operation} ${name}`, options, (span) =>
    work(span)
      .catch((error) => {
        recordError(span, error);
        throw error;
      })
      .finally(() => span.end()),
  );
}

function describeJob(name: string, operation: 'send' | 'process'): Attributes {
  return {
    [conventions.MESSAGING_SYSTEM]: 'pg-boss',
    [conventions.QUEUE_NAME]: name,
    [conventions.OPERATION_NAME]: operation,
    [conventions.OPERATION_TYPE]: operation,
  };
}
