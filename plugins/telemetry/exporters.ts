import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { parseKeyPairsIntoRecord } from '@opentelemetry/core';
import { AggregationTemporalityPreference } from '@opentelemetry/exporter-metrics-otlp-http';
import type { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OperatorError } from '../../src/operator-error.ts';
import type { TelemetrySettings } from './index.ts';

type Options = NonNullable<ConstructorParameters<typeof OTLPTraceExporter>[0]>;

/**
 * Creates the enabled exporters. All options are given, because they would read the environment.
 * They still add the headers in OTEL_EXPORTER_OTLP_TRACES_HEADERS and …_METRICS_HEADERS.
 */
export async function createExporters(config: TelemetrySettings) {
  const { OTLPTraceExporter, OTLPMetricExporter } = await loadExporters(config);
  const options = await readOptions(config);
  const endpoint = config.OTEL_EXPORTER_OTLP_ENDPOINT?.replace(/\/?$/, '/v1');
  const preference = config.OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE;
  const temporalityPreference =
    AggregationTemporalityPreference[preference.toUpperCase() as Uppercase<typeof preference>];
  const traces = new OTLPTraceExporter({ ...options, url: `${endpoint}/traces` });
  const forMetrics = { ...options, url: `${endpoint}/metrics`, temporalityPreference };
  const metrics = new OTLPMetricExporter(forMetrics);
  return {
    traces: config.OTEL_TRACES_EXPORTER.includes('otlp') ? [traces] : [],
    metrics: config.OTEL_METRICS_EXPORTER.includes('otlp') ? [metrics] : [],
  };
}

async function loadExporters({ OTEL_EXPORTER_OTLP_PROTOCOL: protocol }: TelemetrySettings) {
  return protocol === 'http/json'
    ? {
        ...(await import('@opentelemetry/exporter-trace-otlp-http')),
        ...(await import('@opentelemetry/exporter-metrics-otlp-http')),
      }
    : {
        ...(await import('@opentelemetry/exporter-trace-otlp-proto')),
        ...(await import('@opentelemetry/exporter-metrics-otlp-proto')),
      };
}

async function readOptions(config: TelemetrySettings): Promise<Options> {
  const ca = await readPem(config, 'OTEL_EXPORTER_OTLP_CERTIFICATE');
  const cert = await readPem(config, 'OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE');
  const key = await readPem(config, 'OTEL_EXPORTER_OTLP_CLIENT_KEY');
  try {
    createSecureContext({ ca, cert, key });
  } catch (cause) {
    const { message } = cause as Error;
    const names = 'OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY';
    throw new OperatorError(`${names} are no certificate and its key: ${message}.`);
  }
  return {
    headers: parseKeyPairsIntoRecord(config.OTEL_EXPORTER_OTLP_HEADERS),
    timeoutMillis: config.OTEL_EXPORTER_OTLP_TIMEOUT,
    compression: config.OTEL_EXPORTER_OTLP_COMPRESSION as Required<Options>['compression'],
    httpAgentOptions: { keepAlive: true, ca, cert, key },
  };
}

async function readPem(config: TelemetrySettings, name: keyof TelemetrySettings) {
  const path = config[name];
  if (!path) return undefined;
  const remedy = 'Set it to the path of a PEM file';
  const text = await readFile(String(path), 'utf8').catch(({ code }) => {
    throw new OperatorError(`${name} cannot be read (${code}). ${remedy}.`);
  });
  if (text.includes('-----BEGIN ')) return text;
  throw new OperatorError(`${name} names a file without a certificate or key. ${remedy}.`);
}
