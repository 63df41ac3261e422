import type { FastifyInstance } from 'fastify';
import type {} from '../../../../jobs/expire-notes.ts';
import { createNote } from '../../../../routes/notes/store.ts';

export default async function routes(app: FastifyInstance): Promise<void> {
  /** Writes a note, and queues a job in the same transaction. */
  app.post('/', async () => {
    const id = await app.db.transaction().execute(async (transaction) => {
      await createNote(transaction, { title: 'hunter2', body: '' });
      return app.jobs.send('expire-notes', {}, { transaction });
    });
    return { id };
  });

  app.get('/held', () => new Promise(() => undefined));

  app.post('/crash', async () => {
    setImmediate(() => {
      throw new Error('nobody catches it');
    });
    return {};
  });
}
