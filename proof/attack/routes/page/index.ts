import type { FastifyPluginAsync } from 'fastify';

/** GET /page is 4 MB of text. */
const page: FastifyPluginAsync = async (app) => {
  app.get('/', () => 'x'.repeat(4 * 1024 * 1024));
};

export default page;
