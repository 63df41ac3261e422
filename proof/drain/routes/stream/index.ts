import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';

/** The pause between two lines, in milliseconds. */
const PAUSE_MS = 100;

/** GET /stream?lines=30 sends lines slowly. */
const stream: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/',
    { schema: { querystring: Type.Object({ lines: Type.Integer() }) } },
    async ({ query }, reply) => {
      return reply.type('text/plain').send(Readable.from(writeLines(query.lines)));
    },
  );
};

async function* writeLines(count: number): AsyncGenerator<string> {
  for (let line = 0; line < count; line++) {
    yield `${line}\n`;
    await sleep(PAUSE_MS);
  }
}

export default stream;
