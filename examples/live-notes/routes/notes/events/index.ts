import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';

/** How long a client waits before it comes back, in milliseconds. */
const RETRY_MS = 1_000;

/**
 * How long a client that does not read may take to get the rest when the process stops, in
 * milliseconds.
 */
const STOP_MS = 2_000;

const id = Type.Optional(Type.String({ pattern: '^\\d{1,15}$' }));
const schema = {
  summary: 'Follow what happens to the notes',
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
    // A browser that comes back asks for the same URL: the header is newer.
    const after = headers['last-event-id'] ?? query.after;
    const position = await app.noteEvents.findPosition(after ? Number(after) : undefined);
    const stream = Readable.from(listMessages(position));
    const end = () => setTimeout(() => reply.raw.destroy(), STOP_MS).unref();
    app.stopping.addEventListener('abort', end);
    stream.once('close', () => app.stopping.removeEventListener('abort', end));
    reply.headers({ 'cache-control': 'no-store', 'x-accel-buffering': 'no' });
    return reply.type('text/event-stream').send(stream);
  });

  /** Each is read when the client has taken the one before it. */
  async function* listMessages(position: number): AsyncGenerator<string> {
    // Who is cut off before the first event knows where to go on, too.
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
