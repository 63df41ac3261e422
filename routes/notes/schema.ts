import { type Static, Type } from 'typebox';
import { givenId, id, storableText, time } from '../../plugins/validation/schemas.ts';

/** How many notes a page has by default. */
export const PAGE_SIZE = 20;

const title = storableText({ minLength: 1, maxLength: 200, examples: ['Groceries'] });
const body = storableText({ maxLength: 10_000, examples: ['Bread, milk'] });

export const Note = Type.Object(
  { id, title, body, createdAt: time, updatedAt: time },
  { description: 'A note' },
);
export const NoteList = Type.Object(
  {
    items: Type.Array(Note),
    next: Type.Union([id, Type.Null()], {
      description: 'Send this as `after` to get the next page; null on the last page',
    }),
  },
  { description: 'A page of notes, newest first' },
);

export const NoteId = Type.Object({ id: givenId });
export const NotePage = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: PAGE_SIZE })),
  after: Type.Optional(givenId),
});
export const NewNote = Type.Object(
  { title, body: Type.Optional(body) },
  { additionalProperties: false },
);
export const NoteChanges = Type.Partial(NewNote, { additionalProperties: false, minProperties: 1 });

export type Note = Static<typeof Note>;
export type NoteList = Static<typeof NoteList>;
export type NotePage = Static<typeof NotePage>;
export type NewNote = Static<typeof NewNote>;
export type NoteChanges = Static<typeof NoteChanges>;
