import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';

/** GET /slow?ms=3000 answers after that time. */
const slow: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/',
    { schema: { querystring: Type.Object({ ms: Type.Integer() }) } },
    async ({ query: { ms } }) => {
      await sleep(ms);
      return { ms };
    },
  );
};

export default slow;
