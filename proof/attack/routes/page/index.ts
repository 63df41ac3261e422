import type { FastifyPluginAsync } from 'fastify';

/** GET /page is 8 MB of text. */
const page: FastifyPluginAsync = async (app) => {
  app.get('/', () => 'x'.repeat(8 * 1024 * 1024));
};

export default page;
