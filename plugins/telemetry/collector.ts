import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  context,
  diag,
  metrics,
  ProxyTracerProvider,
  propagation,
  trace,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  CompositePropagator,
  parseKeyPairsIntoRecord,
  W3CBaggagePropagator,
  W3CTraceContextPropagator,
} from '@opentelemetry/core';
import { defaultResource, type Resource, resourceFromAttributes } from '@opentelemetry/resources';
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
import { MAX_VALUE_LENGTH } from './conventions.ts';
import { recordPool, recordQueries } from './database.ts';
import { createExporters } from './exporters.ts';
import { CollectorHealth } from './health.ts';
import type { TelemetrySettings } from './index.ts';
import { recordJobs } from './jobs.ts';
import { describeTrace, recordRequests } from './requests.ts';

/** How long the drain waits for the collector, in milliseconds. */
const FLUSH_TIMEOUT_MS = 2_000;

/** Starts the SDK, records requests, queries and calls, sends the rest when the app closes. */
export async function attachCollector(app: FastifyInstance): Promise<void> {
  const proxy = new ProxyTracerProvider();
  if (!trace.setGlobalTracerProvider(proxy)) {
    app.log.warn(
      'An agent has started OpenTelemetry in this process: it records, the app does not',
    );
    return;
  }
  const providers = await createProviders(app).catch((error) => {
    trace.disable();
    throw error;
  });
  proxy.setDelegate(providers[0]);
  metrics.setGlobalMeterProvider(providers[1]);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(createPropagator(app.config));
  addLogFields(() => describeActiveTrace());
  recordRequests(app);
  recordQueries(app);
  recordPool(app);
  recordCalls(app);
  recordJobs(app);
  // What is open may take longer than the process is given.
  app.addHook(
    'preClose',
    async () => void Promise.allSettled(providers.map((provider) => provider.forceFlush())),
  );
  app.addHook('onClose', async () => {
    const sent = Promise.allSettled(providers.map((provider) => provider.shutdown()));
    await Promise.race([sent, sleep(FLUSH_TIMEOUT_MS, undefined, { ref: false })]);
    addLogFields(() => undefined);
    for (const api of [trace, metrics, context, propagation, diag]) api.disable();
  });
}

async function createProviders(app: FastifyInstance): Promise<[TracerProvider, MeterProvider]> {
  const exporters = await createExporters(app.config);
  const health = new CollectorHealth(app);
  for (const exporter of [...exporters.traces, ...exporters.metrics]) health.guard(exporter);
  const resource = describeProcess(app.config);
  const tracerProvider = new TracerProvider({
    resource,
    sampler: createSampler(app.config),
    spanLimits: { attributeValueLengthLimit: MAX_VALUE_LENGTH },
    spanProcessors: exporters.traces.map((exporter) => new BatchSpanProcessor({ exporter })),
  });
  const exportIntervalMillis = app.config.OTEL_METRIC_EXPORT_INTERVAL;
  const readers = exporters.metrics.map(
    (exporter) => new PeriodicExportingMetricReader({ exporter, exportIntervalMillis }),
  );
  return [tracerProvider, new MeterProvider({ resource, readers })];
}

function describeActiveTrace(): object {
  const span = trace.getActiveSpan();
  return span ? describeTrace(span) : {};
}

/** Each process is an instance of its own: workers of one machine are told apart. */
function describeProcess(config: TelemetrySettings): Resource {
  const { OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES } = config;
  const attributes = {
    'service.name': manifest.name,
    'service.version': manifest.version,
    'service.instance.id': randomUUID(),
    ...parseKeyPairsIntoRecord(OTEL_RESOURCE_ATTRIBUTES),
    ...(OTEL_SERVICE_NAME && { 'service.name': OTEL_SERVICE_NAME }),
  };
  return defaultResource().merge(resourceFromAttributes(attributes));
}

function createSampler(config: TelemetrySettings): Sampler {
  const name = config.OTEL_TRACES_SAMPLER.toLowerCase();
  let root: Sampler = new AlwaysOnSampler();
  if (name.endsWith('always_off')) root = new AlwaysOffSampler();
  if (name.endsWith('traceidratio'))
    root = new TraceIdRatioBasedSampler(Number(config.OTEL_TRACES_SAMPLER_ARG));
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

function createPropagator({ OTEL_PROPAGATORS }: TelemetrySettings): CompositePropagator {
  const names = OTEL_PROPAGATORS.toLowerCase();
  return new CompositePropagator({
    propagators: [
      ...(names.includes('tracecontext') ? [new W3CTraceContextPropagator()] : []),
      ...(names.includes('baggage') ? [new W3CBaggagePropagator()] : []),
    ],
  });
}
