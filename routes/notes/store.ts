import type { Kysely } from 'kysely';
import { v7 as createId } from 'uuid';
import type { Tables } from '../../plugins/database/index.ts';
import type { NewNote, Note, NoteChanges, NoteList, NotePage } from './schema.ts';
import { PAGE_SIZE } from './schema.ts';

declare module '../../plugins/database/index.ts' {
  interface Tables {
    notes: { id: string; title: string; body: string; created_at: Date; updated_at: Date };
  }
}

const COLUMNS = [
  'id',
  'title',
  'body',
  'created_at as createdAt',
  'updated_at as updatedAt',
] as const;

/** Lists a page of notes, newest first. Ids give the order: a UUID v7 starts with a time. */
export async function listNotes(
  db: Kysely<Tables>,
  { limit = PAGE_SIZE, after }: NotePage,
): Promise<NoteList> {
  const query = db
    .selectFrom('notes')
    .select(COLUMNS)
    .orderBy('id', 'desc')
    .limit(limit + 1);
  const found = await (after ? query.where('id', '<', after) : query).execute();
  const items = found.slice(0, limit);
  return { items, next: found.length > limit ? items[limit - 1]!.id : null };
}

export async function createNote(db: Kysely<Tables>, { title, body = '' }: NewNote): Promise<Note> {
  const now = new Date();
  const note = { id: createId(), title, body, created_at: now, updated_at: now };
  return db.insertInto('notes').values(note).returning(COLUMNS).executeTakeFirstOrThrow();
}

export async function findNote(db: Kysely<Tables>, id: string): Promise<Note | undefined> {
  return db.selectFrom('notes').select(COLUMNS).where('id', '=', id).executeTakeFirst();
}

export async function updateNote(
  db: Kysely<Tables>,
  id: string,
  changes: NoteChanges,
): Promise<Note | undefined> {
  const values = { ...changes, updated_at: new Date() };
  return db
    .updateTable('notes')
    .set(values)
    .where('id', '=', id)
    .returning(COLUMNS)
    .executeTakeFirst();
}

/** Gives false if the note did not exist. */
export async function deleteNote(db: Kysely<Tables>, id: string): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('notes')
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  return numDeletedRows > 0n;
}

/** Deletes at most `limit` notes created before a time, the oldest first. Returns their number. */
export async function deleteNotesBefore(
  db: Kysely<Tables>,
  before: Date,
  limit: number,
): Promise<number> {
  const oldest = db.selectFrom('notes').select('id').where('created_at', '<', before);
  const { numDeletedRows } = await db
    .deleteFrom('notes')
    .where('id', 'in', oldest.orderBy('id').limit(limit))
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}
