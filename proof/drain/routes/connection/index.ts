import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';

/**
 * /connection answers with the port that the connection comes from: the same one is the same
 * connection.
 */
const connection: FastifyPluginAsyncTypebox = async (app) => {
  app.route({
    method: ['GET', 'POST'],
    url: '/',
    handler: async ({ socket }) => ({ port: socket.remotePort }),
  });
};

export default connection;
