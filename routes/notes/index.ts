import createError from '@fastify/error';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifySchema } from 'fastify';
import { Type } from 'typebox';
import { locate } from '../../src/location.ts';
import { NewNote, Note, NoteChanges, NoteId, NoteList, NotePage } from './schema.ts';
import { createNote, deleteNote, findNote, listNotes, updateNote } from './store.ts';

const NoteNotFound = createError<[string]>('NOTE_NOT_FOUND', 'Note %s does not exist.', 404);

const TAG = { tags: ['notes'] };
const LIST = {
  ...TAG,
  summary: 'List notes',
  querystring: NotePage,
  response: { 200: NoteList },
} satisfies FastifySchema;
const CREATE = {
  ...TAG,
  summary: 'Create a note',
  body: NewNote,
  response: { 201: Note },
} satisfies FastifySchema;
const SHOW = {
  ...TAG,
  summary: 'Show a note',
  params: NoteId,
  response: { 200: Note },
} satisfies FastifySchema;
const CHANGE = { ...SHOW, summary: 'Change a note', body: NoteChanges } satisfies FastifySchema;
const REMOVE = {
  ...TAG,
  summary: 'Delete a note',
  params: NoteId,
  response: { 204: Type.Null() },
} satisfies FastifySchema;

/** The example resource. Its shapes are in schema.ts, and its SQL is in store.ts. */
const notes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/', { schema: LIST }, async ({ query }) => listNotes(app.db, query));

  app.post('/', { schema: CREATE }, async (request, reply) => {
    const note = await createNote(app.db, request.body);
    return reply.code(201).header('location', locate(request, note.id)).send(note);
  });

  app.get('/:id', { schema: SHOW }, async ({ params: { id } }) => {
    return (await findNote(app.db, id)) ?? rejectId(id);
  });

  app.patch('/:id', { schema: CHANGE }, async ({ params: { id }, body }) => {
    return (await updateNote(app.db, id, body)) ?? rejectId(id);
  });

  app.delete('/:id', { schema: REMOVE }, async ({ params: { id } }, reply) => {
    if (!(await deleteNote(app.db, id))) rejectId(id);
    return reply.code(204).send(null);
  });
};

function rejectId(id: string): never {
  throw new NoteNotFound(id);
}

export default notes;
