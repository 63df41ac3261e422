import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';

/** How long a client waits before it reconnects, in milliseconds. */
const RETRY_MS = 1_000;

/** When the process stops, how long a client may take to read the rest, in milliseconds. */
const STOP_MS = 2_000;

const id = Type.Optional(Type.String({ pattern: '^\\d{1,15}$' }));
const schema = {
  summary: 'Follow the changes of the notes',
  tags: ['notes'],
  querystring: Type.Object({ after: id }),
  headers: Type.Object({ 'last-event-id': id }),
};

/**
 * GET /notes/events, a stream of server-sent events:
 * https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
const events: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/', { schema }, async ({ headers, query }, reply) => {
    // A browser reconnects with the same URL, so the header is newer.
    const after = headers['last-event-id'] ?? query.after;
    const position = await app.noteEvents.findPosition(after ? Number(after) : undefined);
    const stream = Readable.from(listMessages(position));
    const end = () => setTimeout(() => reply.raw.destroy(), STOP_MS).unref();
    app.stopping.addEventListener('abort', end);
    stream.once('close', () => app.stopping.removeEventListener('abort', end));
    reply.headers({ 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
    return reply.type('text/event-stream').send(stream);
  });

  /** Each message is read when the client has taken the one before. */
  async function* listMessages(position: number): AsyncGenerator<string> {
    // A client that is cut off before the first event then knows its position too.
    yield `id: ${position}\nretry: ${RETRY_MS}\n\n`;
    while (!app.stopping.aborted) {
      const { news } = app.noteEvents;
      const found = await app.noteEvents.list(position);
      for (const { id, name, note } of found) yield `id: ${id}\nevent: ${name}\ndata: ${note}\n\n`;
      position = found.at(-1)?.id ?? position;
      if (found.length === 0 && !(await news)) yield ':\n\n';
    }
  }
};

export default events;
