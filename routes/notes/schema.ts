import { type Static, Type } from 'typebox';

/** PostgreSQL's text holds neither NUL nor half a surrogate pair, and what cannot be stored is the client's error. */
const STORABLE = '^[^\\u0000\\ud800-\\udfff]*$';

/** How many notes a page has where the client does not say. */
export const PAGE_SIZE = 20;

const title = Type.String({
  minLength: 1,
  maxLength: 200,
  pattern: STORABLE,
  examples: ['Groceries'],
});
const body = Type.String({ maxLength: 10_000, pattern: STORABLE, examples: ['Bread, milk'] });
/** Without an example: the API's page would ask for it, and find nothing. */
const givenId = Type.String({ format: 'uuid' });
const id = Type.String({ format: 'uuid', examples: ['01980a5e-7c1a-7b3e-9f00-5d1c2a3b4c5d'] });
/** A Date on its way to JSON. */
const time = Type.Unsafe<Date>({
  type: 'string',
  format: 'date-time',
  examples: ['2026-01-31T12:00:00.000Z'],
});

export const Note = Type.Object(
  { id, title, body, createdAt: time, updatedAt: time },
  { description: 'A note' },
);
export const NoteList = Type.Object(
  {
    items: Type.Array(Note),
    next: Type.Union([id, Type.Null()], {
      description: 'Give it as `after` for the next page; null on the last',
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
