import fp from 'fastify-plugin';
import type { Static } from 'typebox';
import type { settings } from './settings.ts';

export { settings } from './settings.ts';

export type TelemetrySettings = Static<typeof settings>;

declare module '../env/index.ts' {
  interface Config extends TelemetrySettings {}
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** False for a route of which there are no traces and no metrics. */
    telemetry?: boolean;
  }
}

/**
 * Traces and metrics for the collector at OTEL_EXPORTER_OTLP_ENDPOINT, by OpenTelemetry's own SDK.
 * Without one, nothing of it is loaded, and `trace` and `metrics` of @opentelemetry/api do nothing.
 */
export default fp(
  async (app) => {
    const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: disabled } = app.config;
    if (!endpoint || disabled.toLowerCase() === 'true') return;
    const { attachCollector } = await import('./collector.ts');
    await attachCollector(app);
  },
  { name: 'telemetry', dependencies: ['errors'] },
);
