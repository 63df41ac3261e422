import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { NoteList, NotePage } from '../../notes/schema.ts';

/** The example of another app as an attached service: the route passes on that app's notes. */
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

/** Passes on only known parameters, because the request has this app's own credentials. */
function readQuery(page: NotePage): string {
  const known = Object.entries(page).filter(([name]) => Object.hasOwn(NotePage.properties, name));
  return `?${new URLSearchParams(known.map(([name, value]) => [name, `${value}`]))}`;
}

export default backingAppNotes;
