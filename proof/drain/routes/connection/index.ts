import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

/** GET /connection answers the client's port, which identifies the connection. */
const connection: FastifyPluginAsyncTypebox = async (app) => {
  app.route({
    method: ['GET', 'POST'],
    url: '/',
    handler: async ({ socket }) => ({ port: socket.remotePort }),
  });
};

export default connection;
