import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

/** POST /upload takes any JSON and answers with the length of its text. */
const upload: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/', async ({ body }) => ({ length: JSON.stringify(body).length }));
};

export default upload;
