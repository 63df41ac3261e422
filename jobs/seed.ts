import { type Static, Type } from 'typebox';
import { defineJob } from '../plugins/jobs.ts';

const NOTES = [
  {
    title: 'Welcome',
    body: 'These notes come from jobs/seed.ts. Run npm run seed to get them back.',
  },
  { title: 'Groceries', body: 'Bread, milk, coffee' },
  { title: 'Twelve factors', body: 'An app exports its services by port binding.' },
];

const schema = Type.Object({});

declare module '../plugins/jobs.ts' {
  interface Jobs {
    seed: Static<typeof schema>;
  }
}

/** Adds notes for development. Their ids are fixed, so a second run adds no duplicates. */
export default defineJob({
  schema,
  async run({ app, log }) {
    const createdAt = new Date('2026-01-01T00:00:00Z');
    const notes = NOTES.map((note, index) => ({
      id: `019b76da-a800-7000-8000-00000000000${index + 1}`,
      ...note,
      created_at: createdAt,
      updated_at: createdAt,
    }));
    const query = app.db.insertInto('notes').values(notes);
    const { numInsertedOrUpdatedRows } = await query
      .onConflict((conflict) => conflict.column('id').doNothing())
      .executeTakeFirstOrThrow();
    log.info({ notes: Number(numInsertedOrUpdatedRows) }, 'Seeded');
  },
});
