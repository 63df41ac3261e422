import { test } from 'tap';
import { createNote } from '../../routes/notes/store.ts';
import { createEmbeddedDatabase } from '../fixture/embedded-database.ts';
import { buildTestApp, captureLog, DOWN } from '../helper.ts';

const DAY_MS = 24 * 60 * 60 * 1_000;

test('The jobs of the notes', async (t) => {
  const { logger, lines } = captureLog();
  const app = await buildTestApp(
    t,
    { NOTES_KEEP_DAYS: '30', DATABASE_URL: `pglite:${await createEmbeddedDatabase()}` },
    { logger },
  );
  const count = async () => (await app.db.selectFrom('notes').select('id').execute()).length;

  // Opens the database before a job's time-out starts.
  t.equal(await count(), 0);
  await t.test('seed creates the same notes when it runs twice', async (t) => {
    await app.jobs.run('seed', {});
    await app.jobs.run('seed', {});
    t.equal(await count(), 3);
  });

  await t.test('expire-notes deletes only notes older than NOTES_KEEP_DAYS', async (t) => {
    await app.db.deleteFrom('notes').execute();
    const young = await createNote(app.db, { title: 'Young' });
    for (const days of [31, 400]) {
      const { id } = await createNote(app.db, { title: 'Old' });
      const created_at = new Date(Date.now() - days * DAY_MS);
      await app.db.updateTable('notes').set({ created_at }).where('id', '=', id).execute();
    }
    await app.jobs.run('expire-notes', {});
    t.match(lines.at(-2), { job: 'expire-notes', deleted: 2 });
    t.strictSame(await app.db.selectFrom('notes').select('id').execute(), [{ id: young.id }]);
  });

  await t.test('Without NOTES_KEEP_DAYS, expire-notes keeps all notes', async (t) => {
    const keeper = await buildTestApp(t, { DATABASE_URL: DOWN });
    await t.resolves(keeper.jobs.run('expire-notes', {}), 'the database gets no query');
  });
});
