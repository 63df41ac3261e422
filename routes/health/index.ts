import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { ReadinessReport } from '../../plugins/readiness.ts';

const Live = Type.Object({ status: Type.Literal('live') }, { description: 'The process is alive' });

const live = { summary: 'Is the process alive?', tags: ['health'], response: { 200: Live } };

const ready = {
  summary: 'Is the process ready for requests?',
  tags: ['health'],
  response: { 200: ReadinessReport, 503: ReadinessReport },
};

/** Health checks, which platforms and routers repeat: only errors are in the request log. */
const health: FastifyPluginAsyncTypebox = async (app) => {
  const config = { rateLimit: false, overload: false, telemetry: false } as const;
  const options = { logLevel: 'warn', config } as const;

  app.addHook('onRequest', async (_, reply) => void reply.header('cache-control', 'no-store'));

  app.get('/live', { ...options, schema: live }, async () => ({ status: 'live' as const }));

  app.get('/ready', { ...options, schema: ready }, async (_request, reply) => {
    const report = await app.readiness.report();
    const isUp = report.status === 'ready' || report.status === 'degraded';
    return reply.code(isUp ? 200 : 503).send(report);
  });
};

export default health;
