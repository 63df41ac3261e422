import fp from 'fastify-plugin';
import { Kysely, PGliteDialect, PostgresDialect } from 'kysely';
import { NoteEvents } from '../note-events.ts';
import { listenForNotes } from '../note-listener.ts';
import { createNoteEvents } from '../schema.ts';

/** How often a silent stream sends a comment, in milliseconds. Routers end silent streams. */
const HEARTBEAT_MS = 15_000;

/** How often events older than a day are deleted, in milliseconds. */
const CLEANING_MS = 3_600_000;

declare module 'fastify' {
  interface FastifyInstance {
    noteEvents: NoteEvents;
  }
}

/** The events of the notes, from all processes, as `app.noteEvents`. */
export default fp(
  async (app) => {
    const events = new NoteEvents(app);
    const news = () => events.refresh();
    app.decorate('noteEvents', events);
    app.prepareDatabase(async (driver) => {
      const isEmbedded = 'pglite' in driver;
      await createNoteEvents(
        new Kysely({
          dialect: isEmbedded ? new PGliteDialect(driver) : new PostgresDialect(driver),
        }),
      );
      if (isEmbedded) await driver.pglite.listen('note_events', news);
      return ['note_events'];
    });
    app.addHook('onListen', async () => {
      if (app.databasePool) void listenForNotes(app, news);
      const heartbeat = setInterval(() => events.wake(), HEARTBEAT_MS);
      const cleaning = setInterval(() => events.clean(), CLEANING_MS);
      app.stopping.addEventListener('abort', () => {
        clearInterval(heartbeat);
        clearInterval(cleaning);
        events.wake();
      });
    });
  },
  { name: 'note-events', dependencies: ['database'] },
);
