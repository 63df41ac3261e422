import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import fp from 'fastify-plugin';

/** What routers send: Heroku a UUID, AWS "Root=1-…", Envoy a UUID, clients their own. Anything else could forge log lines. */
const REQUEST_ID = /^[A-Za-z0-9+/=_.:-]{1,200}$/;

/** The id that the router or the client gave the request, or a new one where it gave none or one that is not safe to log. */
export function readRequestId({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** Answers every request with its id in X-Request-ID, so that a client can name it and an operator find it in the log. */
export default fp(
  async (app) => {
    app.addHook('onRequest', (request, reply, done) => {
      reply.header('x-request-id', request.id);
      done();
    });
  },
  { name: 'request-id' },
);
