import type { FastifyInstance } from 'fastify';
import type {} from '../../jobs/record.ts';

/** Queues a job for each request. */
export default async function routes(app: FastifyInstance): Promise<void> {
  app.post<{ Params: { key: string } }>('/:key', async ({ params: { key } }, reply) => {
    await app.jobs.send('record', { key, sentAt: Date.now(), ms: 2 });
    return reply.code(202).send();
  });
}
