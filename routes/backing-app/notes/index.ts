import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { NoteList, NotePage } from '../../notes/schema.ts';

/** The example of one app as the backing service of another: what it gives is passed on. */
const backingAppNotes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/',
    {
      schema: {
        summary: "List the attached app's notes",
        tags: ['backing-app'],
        querystring: NotePage,
        response: { 200: NoteList },
      },
    },
    async (request) => app.backingApp.get(`/notes${readQuery(request.query)}`, NoteList, request),
  );
};

/** Only what this API knows: the attached app is asked with this app's own credentials. */
function readQuery(page: NotePage): string {
  const known = Object.entries(page).filter(([name]) => Object.hasOwn(NotePage.properties, name));
  return `?${new URLSearchParams(known.map(([name, value]) => [name, `${value}`]))}`;
}

export default backingAppNotes;
