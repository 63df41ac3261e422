import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

/** POST /upload takes a JSON string and answers its length. */
const upload: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/', async ({ body }) => ({ length: JSON.stringify(body).length }));
};

export default upload;
