import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import fp from 'fastify-plugin';

/** What routers send: a UUID, AWS "Root=1-…". Anything else could forge log lines. */
const REQUEST_ID = /^[A-Za-z0-9+/=_.:-]{1,200}$/;

/** The id that the router or the client gave, or a new one where that is not safe to log. */
export function readRequestId({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** Answers every request with its id in X-Request-ID, so that both ends can name it. */
export default fp(
  async (app) => app.addHeaders((reply, { id }) => reply.header('x-request-id', id)),
  { name: 'request-id' },
);
