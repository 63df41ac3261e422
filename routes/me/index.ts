import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';

const Me = Type.Object(
  {
    id: Type.String({ examples: ['user-1'] }),
    scopes: Type.Array(Type.String(), { examples: [['notes:write']] }),
  },
  { description: 'The caller, as the bearer token says' },
);

/** The example of a route that requires a bearer token. */
const me: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/',
    {
      config: { auth: true },
      schema: { summary: 'Show the caller', tags: ['me'], response: { 200: Me } },
    },
    async ({ user: { id, scopes } }) => ({ id, scopes }),
  );
};

export default me;
