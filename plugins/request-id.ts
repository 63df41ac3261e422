import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import fp from 'fastify-plugin';

/** The forms that routers send: a UUID, AWS "Root=1-…". Other text could forge log lines. */
const REQUEST_ID = /^[A-Za-z0-9+/=_.:-]{1,200}$/;

/** The id from the router or the client, or a new one if there is none that is safe to log. */
export function readRequestId({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

/** Adds the request's id to every answer as X-Request-ID, so that a client can report it. */
export default fp(
  async (app) => app.addHeaders((reply, { id }) => reply.header('x-request-id', id)),
  { name: 'request-id' },
);
