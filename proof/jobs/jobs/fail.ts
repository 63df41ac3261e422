import { setTimeout as sleep } from 'node:timers/promises';
import { type Static, Type } from 'typebox';
import { defineJob } from '../../../plugins/jobs.ts';

const schema = Type.Object({ how: Type.String() });

declare module '../../../plugins/jobs.ts' {
  interface Jobs {
    fail: Static<typeof schema>;
  }
}

/** Fails in the requested way. */
export default defineJob({
  schema,
  retries: 1,
  timeoutMs: 1_000,
  async run({ payload: { how } }) {
    if (how === 'throw text') throw 'no error';
    if (how === 'throw null') throw null;
    if (how === 'hang') await new Promise(() => undefined);
    if (how === 'ignore the limit') await sleep(2_000);
    throw new Error(how);
  },
});
