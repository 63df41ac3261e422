import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { context, diag, metrics, propagation, trace } from '@opentelemetry/api';
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
  const attributes = {
    'service.name': manifest.name,
    'service.version': manifest.version,
    'service.instance.id': randomUUID(),
    ...envDetector.detect().attributes,
  };
  return defaultResource().merge(resourceFromAttributes(attributes));
}

function createSampler(config: TelemetrySettings): Sampler {
  const { OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: ratio } = config;
  let root: Sampler = new AlwaysOnSampler();
  if (name.endsWith('always_off')) root = new AlwaysOffSampler();
  if (name.endsWith('traceidratio')) root = new TraceIdRatioBasedSampler(Number(ratio));
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
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
  const propagators = [
    ...(OTEL_PROPAGATORS.includes('tracecontext') ? [new W3CTraceContextPropagator()] : []),
    ...(OTEL_PROPAGATORS.includes('baggage') ? [new W3CBaggagePropagator()] : []),
  ];
  propagation.setGlobalPropagator(new CompositePropagator({ propagators }));
  return true;
}

function unregister(): void {
  addLogFields(() => undefined);
  for (const api of [trace, metrics, context, propagation, diag]) api.disable();
}
