import type { FastifyInstance } from 'fastify';
import type {} from '../../../../jobs/expire-notes.ts';
import { createNote } from '../../../../routes/notes/store.ts';

/** Writes a note, and queues a job in the transaction of the write. */
export default async function routes(app: FastifyInstance): Promise<void> {
  app.post('/', async () => {
    const id = await app.db.transaction().execute(async (transaction) => {
      await createNote(transaction, { title: 'hunter2', body: '' });
      return app.jobs.send('expire-notes', {}, { transaction });
    });
    return { id };
  });
}
