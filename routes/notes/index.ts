import createError from '@fastify/error';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { locate } from '../../src/location.ts';
import { NewNote, Note, NoteChanges, NoteId, NoteList, NotePage } from './schema.ts';
import { createNote, deleteNote, findNote, listNotes, updateNote } from './store.ts';

const NoteNotFound = createError<[string]>('NOTE_NOT_FOUND', 'Note %s does not exist.', 404);

/** The example resource: its shapes are in schema.ts, its SQL in store.ts. */
const notes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/',
    {
      schema: {
        summary: 'List notes',
        tags: ['notes'],
        querystring: NotePage,
        response: { 200: NoteList },
      },
    },
    async ({ query }) => listNotes(app.db, query),
  );

  app.post(
    '/',
    {
      schema: { summary: 'Create a note', tags: ['notes'], body: NewNote, response: { 201: Note } },
    },
    async (request, reply) => {
      const note = await createNote(app.db, request.body);
      return reply.code(201).header('location', locate(request, note.id)).send(note);
    },
  );

  app.get(
    '/:id',
    {
      schema: { summary: 'Show a note', tags: ['notes'], params: NoteId, response: { 200: Note } },
    },
    async ({ params: { id } }) => (await findNote(app.db, id)) ?? rejectId(id),
  );

  app.patch(
    '/:id',
    {
      schema: {
        summary: 'Change a note',
        tags: ['notes'],
        params: NoteId,
        body: NoteChanges,
        response: { 200: Note },
      },
    },
    async ({ params: { id }, body }) => (await updateNote(app.db, id, body)) ?? rejectId(id),
  );

  app.delete(
    '/:id',
    {
      schema: {
        summary: 'Delete a note',
        tags: ['notes'],
        params: NoteId,
        response: { 204: Type.Null() },
      },
    },
    async ({ params: { id } }, reply) => {
      if (!(await deleteNote(app.db, id))) rejectId(id);
      return reply.code(204).send(null);
    },
  );
};

function rejectId(id: string): never {
  throw new NoteNotFound(id);
}

export default notes;
