import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

/** GET /hang is not answered before REQUEST_TIMEOUT_MS. */
const hang: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/', () => new Promise(() => {}));
};

export default hang;
