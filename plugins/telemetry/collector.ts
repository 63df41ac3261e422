import cluster from 'node:cluster';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { context, diag, metrics, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { parseKeyPairsIntoRecord } from '@opentelemetry/core';
import { defaultResource, type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import {
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
import { MAX_LENGTH, readPropagator } from './conventions.ts';
import { recordPool, recordQueries } from './database.ts';
import { createExporters } from './exporters.ts';
import { CollectorHealth } from './health.ts';
import type { TelemetrySettings } from './index.ts';
import { recordJobs } from './jobs.ts';
import { describeTrace, recordRequests } from './requests.ts';

type Exporters = Awaited<ReturnType<typeof createExporters>>;

/** How long the drain waits for the collector, in milliseconds. */
const FLUSH_TIMEOUT_MS = 2_000;

/** Starts the SDK, and records requests, queries, calls and jobs until the app closes. */
export async function attachCollector(app: FastifyInstance): Promise<void> {
  const exporters = await createExporters(app.config);
  const resource = describeProcess(app.config);
  const tracerProvider = createTracerProvider(app.config, resource, exporters.traces);
  if (!trace.setGlobalTracerProvider(tracerProvider))
    return app.log.warn(
      'An agent has started OpenTelemetry in this process: the agent records, the app does not',
    );
  const health = new CollectorHealth(app);
  health.guard('traces', exporters.traces);
  health.guard('metrics', exporters.metrics);
  const meterProvider = createMeterProvider(app.config, resource, exporters.metrics);
  metrics.setGlobalMeterProvider(meterProvider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(readPropagator(app.config.OTEL_PROPAGATORS));
  const removeFields = addLogFields(() => describeTrace(trace.getActiveSpan()));
  app.addHook('onClose', async () => removeFields());
  const recorders = [recordRequests, recordQueries, recordPool, recordCalls, recordJobs];
  for (const record of recorders) record(app);
  flushAtClose(app, [tracerProvider, meterProvider]);
}

/** Describes this process. Each process has its own instance id, so that workers differ. */
function describeProcess(config: TelemetrySettings): Resource {
  const { OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES } = config;
  const given = parseKeyPairsIntoRecord(OTEL_RESOURCE_ATTRIBUTES);
  const id = given['service.instance.id'];
  const attributes = {
    'service.version': manifest.version,
    ...given,
    'service.name': OTEL_SERVICE_NAME ?? given['service.name'] ?? manifest.name,
    'service.instance.id':
      id && cluster.worker ? `${id}/${cluster.worker.id}` : (id ?? randomUUID()),
  };
  return defaultResource().merge(resourceFromAttributes(attributes));
}

function createTracerProvider(
  config: TelemetrySettings,
  resource: Resource,
  exporters: Exporters['traces'],
): TracerProvider {
  // The processor's own time-out is 30 s, whatever the exporter's is.
  const exportTimeoutMillis = config.OTEL_EXPORTER_OTLP_TIMEOUT;
  const spanProcessors = exporters.map(
    (exporter) => new BatchSpanProcessor({ exporter, exportTimeoutMillis }),
  );
  const spanLimits = { attributeValueLengthLimit: MAX_LENGTH };
  const sampler = createSampler(config);
  return new TracerProvider({ resource, sampler, spanLimits, spanProcessors });
}

function createSampler(config: TelemetrySettings): Sampler {
  const name = config.OTEL_TRACES_SAMPLER;
  const always = { always_on: 1, always_off: 0 }[name.replace('parentbased_', '')];
  const root = new TraceIdRatioBasedSampler(always ?? Number(config.OTEL_TRACES_SAMPLER_ARG));
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

function createMeterProvider(
  config: TelemetrySettings,
  resource: Resource,
  exporters: Exporters['metrics'],
): MeterProvider {
  const exportIntervalMillis = config.OTEL_METRIC_EXPORT_INTERVAL;
  // The SDK refuses a longer one.
  const exportTimeoutMillis = Math.min(config.OTEL_EXPORTER_OTLP_TIMEOUT, exportIntervalMillis);
  const times = { exportIntervalMillis, exportTimeoutMillis };
  const readers = exporters.map(
    (exporter) => new PeriodicExportingMetricReader({ exporter, ...times }),
  );
  return new MeterProvider({ resource, readers });
}

/** Sends the remaining data, and removes the SDK so that another app in this process can start. */
function flushAtClose(app: FastifyInstance, providers: (TracerProvider | MeterProvider)[]): void {
  // Send now, because open requests and jobs may take longer than the process may live.
  app.stopping.addEventListener('abort', () => {
    for (const provider of providers) provider.forceFlush().catch(() => undefined);
  });
  app.addHook('onClose', async () => {
    const sent = Promise.allSettled(providers.map((provider) => provider.shutdown()));
    await Promise.race([sent, sleep(FLUSH_TIMEOUT_MS, undefined, { ref: false })]);
    for (const api of [trace, metrics, context, propagation, diag]) api.disable();
  });
}
