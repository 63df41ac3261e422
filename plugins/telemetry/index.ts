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
    /** False for a route without traces and metrics. */
    telemetry?: boolean;
  }
}

/**
 * Sends traces and metrics to the collector at OTEL_EXPORTER_OTLP_ENDPOINT, with OpenTelemetry's
 * SDK. Without a collector the SDK is not loaded, and @opentelemetry/api does nothing.
 */
export default fp(
  async (app) => {
    const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: disabled } = app.config;
    if (!endpoint || disabled === 'true') return;
    const { attachCollector } = await import('./collector.ts');
    await attachCollector(app);
  },
  { name: 'telemetry', dependencies: ['errors'] },
);
