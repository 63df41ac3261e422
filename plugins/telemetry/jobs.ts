import {
  type Attributes,
  context,
  propagation,
  type Span,
  SpanKind,
  ValueType,
} from '@opentelemetry/api';
import type { FastifyInstance } from 'fastify';
import * as conventions from './conventions.ts';

type Headers = Record<string, string>;

interface Result {
  outcome: string;
  durationMs: number;
  err?: Error;
}

/** How plugins/jobs.ts shows what it does; an app can do without it. */
interface Observer {
  send(name: string, next: (headers: Headers) => Promise<string | null>): Promise<string | null>;
  run<R extends Result>(
    run: { name: string; id: string; headers: Headers },
    next: () => Promise<R>,
  ): Promise<R>;
}

/** A producer span for each job sent, a consumer span, its child, for each run; and metrics. */
export function recordJobs(app: FastifyInstance): void {
  const sent = conventions.getMeter().createCounter(conventions.JOBS_SENT, {
    description: 'Number of jobs that were sent.',
    unit: '{message}',
    valueType: ValueType.INT,
  });
  const duration = conventions.createDuration(
    conventions.JOB_DURATION,
    'Duration of runs of jobs.',
  );
  const observer: Observer = {
    send: (name, next) =>
      runInSpan(SpanKind.PRODUCER, 'send', name, async (span, attributes) => {
        const headers: Headers = {};
        propagation.inject(context.active(), headers);
        const id = await next(headers);
        // null: its key kept it away.
        if (id) sent.add(1, attributes);
        if (id) span.setAttribute(conventions.MESSAGE_ID, id);
        return id;
      }),
    run: ({ name, id, headers }, next) =>
      context.with(propagation.extract(context.active(), headers), () =>
        runInSpan(SpanKind.CONSUMER, 'process', name, async (span, attributes) => {
          const result = await next();
          const { outcome, durationMs, err } = result;
          const ended = { ...attributes, [conventions.JOB_OUTCOME]: outcome };
          span.setAttributes({ ...ended, [conventions.MESSAGE_ID]: id });
          if (err) conventions.recordError(span, err);
          const failure = err && { 'error.type': conventions.readErrorType(err) };
          duration.record(durationMs / 1_000, { ...ended, ...failure });
          return result;
        }),
      ),
  };
  app.addHook('onReady', async () => Reflect.get(app, 'jobs')?.observe(observer));
}

/** Runs `work` within a span, which ends with it and has its error. */
function runInSpan<T>(
  kind: SpanKind,
  operation: 'send' | 'process',
  name: string,
  work: (span: Span, attributes: Attributes) => Promise<T>,
): Promise<T> {
  const attributes = {
    [conventions.MESSAGING_SYSTEM]: 'pg-boss',
    [conventions.QUEUE_NAME]: name,
    [conventions.OPERATION_NAME]: operation,
    [conventions.OPERATION_TYPE]: operation,
  };
  const options = { kind, attributes };
  return conventions.getTracer().startActiveSpan(`${operation} ${name}`, options, (span) =>
    work(span, attributes)
      .catch((error) => {
        conventions.recordError(span, error);
        throw error;
      })
      .finally(() => span.end()),
  );
}
