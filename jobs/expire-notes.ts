import { type Static, Type } from 'typebox';
import { defineJob } from '../plugins/jobs.ts';
import { deleteNotesBefore } from '../routes/notes/store.ts';

export const settings = Type.Object({
  NOTES_KEEP_DAYS: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 36_500,
      description:
        'The age in days at which notes are deleted, each night; all are kept when not set',
      remedy: 'Set NOTES_KEEP_DAYS=365, or leave it out to keep all notes',
    }),
  ),
});

declare module '../plugins/env/index.ts' {
  interface Config extends Static<typeof settings> {}
}

const DAY_MS = 24 * 60 * 60 * 1_000;

/** Notes per statement: without a limit, one could lock a large table for minutes. */
const BATCH_SIZE = 1_000;

const schema = Type.Object({});

declare module '../plugins/jobs.ts' {
  interface Jobs {
    'expire-notes': Static<typeof schema>;
  }
}

/** The example job: deletes notes older than NOTES_KEEP_DAYS each night, if that is set. */
export default defineJob({
  schema,
  schedule: '0 3 * * *',
  timeoutMs: 10 * 60_000,
  async run({ app, signal, log }) {
    const { NOTES_KEEP_DAYS: days } = app.config;
    if (days === undefined) return;
    const before = new Date(Date.now() - days * DAY_MS);
    let deleted = 0;
    let batch = BATCH_SIZE;
    // If the worker stops, the next run deletes the rest.
    while (batch === BATCH_SIZE && !signal.aborted) {
      batch = await deleteNotesBefore(app.db, before, BATCH_SIZE);
      deleted += batch;
    }
    log.info({ deleted }, 'Deleted old notes');
  },
});
