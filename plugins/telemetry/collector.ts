import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  context,
  diag,
  metrics,
  propagation,
  type TextMapPropagator,
  trace,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  CompositePropagator,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from '@opentelemetry/core';
import {
  defaultResource,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { FastifyInstance } from 'fastify';
import manifest from '../../package.json' with { type: 'json' };
import { addLogFields } from '../../src/logger.ts';
import { recordCalls } from './calls.ts';
import { recordPool, recordQueries } from './database.ts';
import { createExporters } from './exporters.ts';
import type { TelemetrySettings } from './index.ts';
import { recordJobs } from './jobs.ts';
import { describeTrace, recordRequests } from './requests.ts';

/** How long the drain waits for the collector, in milliseconds. */
const FLUSH_TIMEOUT_MS = 2_000;

/** The longest value of an attribute, in characters; a statement of the database can be longer. */
const MAX_VALUE_LENGTH = 4_096;

/** Starts the SDK, records requests, queries and calls, and sends what is left when the app closes. */
export async function attachCollector(app: FastifyInstance): Promise<void> {
  const exporters = await createExporters(app);
  const resource = describeProcess();
  const tracerProvider = new TracerProvider({
    resource,
    sampler: createSampler(app.config),
    spanLimits: { attributeValueLengthLimit: MAX_VALUE_LENGTH },
    spanProcessors: [new BatchSpanProcessor({ exporter: exporters.traces })],
  });
  const reader = new PeriodicExportingMetricReader({
    exporter: exporters.metrics,
    exportIntervalMillis: app.config.OTEL_METRIC_EXPORT_INTERVAL,
  });
  const meterProvider = new MeterProvider({ resource, readers: [reader] });
  if (!register(tracerProvider, meterProvider, app.config)) {
    app.log.warn(
      'An agent has started OpenTelemetry in this process: it records, the app does not',
    );
    return;
  }
  addLogFields(() => describeActiveTrace());
  recordRequests(app);
  recordQueries(app);
  recordPool(app);
  recordCalls(app);
  recordJobs(app);
  app.addHook('onClose', async () => {
    const sent = Promise.allSettled([tracerProvider.shutdown(), meterProvider.shutdown()]);
    await Promise.race([sent, sleep(FLUSH_TIMEOUT_MS, undefined, { ref: false })]);
    unregister();
  });
}

function describeActiveTrace(): object {
  const span = trace.getActiveSpan();
  return span ? describeTrace(span) : {};
}

/** Each process is an instance of its own: workers of one machine are told apart. */
function describeProcess(): Resource {
  const { name, version } = manifest;
  const { attributes } = envDetector.detect();
  return defaultResource().merge(
    resourceFromAttributes({
      'service.name': name,
      'service.version': version,
      'service.instance.id': randomUUID(),
      ...attributes,
    }),
  );
}

function createSampler({
  OTEL_TRACES_SAMPLER,
  OTEL_TRACES_SAMPLER_ARG,
}: TelemetrySettings): Sampler {
  const [, parentBased, name] = /^(parentbased_)?(.*)$/.exec(OTEL_TRACES_SAMPLER) as string[];
  const samplers: Record<string, () => Sampler> = {
    always_on: () => new AlwaysOnSampler(),
    always_off: () => new AlwaysOffSampler(),
    traceidratio: () => new TraceIdRatioBasedSampler(Number(OTEL_TRACES_SAMPLER_ARG)),
  };
  const root = samplers[name!]!();
  return parentBased ? new ParentBasedSampler({ root }) : root;
}

/** @returns false where an agent has registered its own providers already */
function register(
  tracerProvider: TracerProvider,
  meterProvider: MeterProvider,
  { OTEL_PROPAGATORS }: TelemetrySettings,
): boolean {
  if (!trace.setGlobalTracerProvider(tracerProvider)) return false;
  metrics.setGlobalMeterProvider(meterProvider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: listPropagators(OTEL_PROPAGATORS) }),
  );
  return true;
}

function listPropagators(names: string): TextMapPropagator[] {
  return [
    ...(names.includes('tracecontext') ? [new W3CTraceContextPropagator()] : []),
    ...(names.includes('baggage') ? [new W3CBaggagePropagator()] : []),
  ];
}

function unregister(): void {
  addLogFields(() => ({}));
  for (const api of [trace, metrics, context, propagation, diag]) api.disable();
}
