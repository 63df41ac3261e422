import { sql } from 'kysely';
import { Type } from 'typebox';
import { defineJob } from '../../../plugins/jobs.ts';

/** Inserts a row each minute. */
export default defineJob({
  schema: Type.Object({}),
  schedule: '* * * * *',
  async run({ app }) {
    await sql`insert into proof_ticks default values`.execute(app.db);
  },
});
