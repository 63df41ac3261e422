import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';

const Live = Type.Object({ status: Type.Literal('live') }, { description: 'The process serves' });

const Readiness = Type.Object(
  {
    status: Type.Enum(['ready', 'degraded', 'unavailable', 'draining']),
    services: Type.Record(Type.String(), Type.Object({ status: Type.Enum(['up', 'down']) }), {
      examples: [{ database: { status: 'up' } }],
    }),
  },
  { description: 'Whether requests should be sent here, and what is attached' },
);

/** What platforms and routers ask again and again: only its failures are in the request log. */
const health: FastifyPluginAsyncTypebox = async (app) => {
  const options = {
    logLevel: 'warn',
    config: { rateLimit: false, overload: false, telemetry: false },
  } as const;

  app.addHook(
    'onRequest',
    async (_request, reply) => void reply.header('cache-control', 'no-store'),
  );

  app.get(
    '/live',
    {
      ...options,
      schema: { summary: 'Is the process alive?', tags: ['health'], response: { 200: Live } },
    },
    async () => ({ status: 'live' as const }),
  );

  app.get(
    '/ready',
    {
      ...options,
      schema: {
        summary: 'Can it serve?',
        tags: ['health'],
        response: { 200: Readiness, 503: Readiness },
      },
    },
    async (_request, reply) => {
      const report = await app.readiness.report();
      return reply
        .code(report.status === 'ready' || report.status === 'degraded' ? 200 : 503)
        .send(report);
    },
  );
};

export default health;
