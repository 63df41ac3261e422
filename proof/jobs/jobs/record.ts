import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { type Static, Type } from 'typebox';
import { defineJob } from '../../../plugins/jobs.ts';

const schema = Type.Object({ key: Type.String(), sentAt: Type.Number(), ms: Type.Integer() });

declare module '../../../plugins/jobs.ts' {
  interface Jobs {
    record: Static<typeof schema>;
  }
}

/** Inserts a row at each run. */
export default defineJob({
  schema,
  async run({ app, payload: { key, sentAt, ms } }) {
    await sleep(ms);
    const waitedMs = Date.now() - sentAt;
    await sql`insert into proof_runs (key, waited_ms) values (${key}, ${waitedMs})`.execute(app.db);
  },
});
