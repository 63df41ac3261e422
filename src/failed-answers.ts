import type { FastifyInstance, FastifyReply } from 'fastify';
import { toError } from './error-log.ts';
import { hasBegun } from './node-http.ts';

declare module 'fastify' {
  interface FastifyReply {
    /** What was thrown before a 5xx answer, or an interrupted one. It is logged, not sent. */
    failure?: unknown;
  }
}

/** Logs why a begun answer ends, and closes the connection, so that its client sees the failure. */
export function interrupt(reply: FastifyReply, thrown: unknown): void {
  const { raw } = reply;
  const hasClientGone = raw.destroyed;
  // Fastify also reports the close after an error. A late stream already has its 503.
  if (raw.writableEnded || (hasClientGone && reply.failure)) return;
  const err = toError(thrown);
  if (!hasClientGone) reply.failure = err;
  reply.log[hasClientGone ? 'info' : 'error']({ err }, 'An answer was interrupted');
  raw.destroy();
}

/** Notes when a handler begins. If it fails after reply.hijack(), only this ends the connection. */
export function watchHandlers(app: FastifyInstance): void {
  app.decorateReply('failure');
  // The error handler of a scope may answer the error, and tell nobody.
  app.addHook('onError', (_request, reply, error, done) => {
    if (!hasBegun(reply.raw)) reply.failure = error;
    done();
  });
  app.addHook('onRoute', (route) => {
    const { handler } = route;
    route.handler = function (request, reply) {
      let result: unknown;
      // A handler of WebSockets gets no request first.
      const entry = request.raw?.openRequest;
      if (entry) entry.isHandled = true;
      try {
        result = handler.call(this, request, reply);
      } catch (error) {
        if (!reply.sent) throw error;
        // Fastify logs the error of a promise, but not one thrown at once after an answer.
        result = Promise.reject(error);
      }
      if (result instanceof Promise) result.catch((error) => endHijacked(reply, error));
      return result;
    };
  });
}

function endHijacked(reply: FastifyReply, error: unknown): void {
  if (!reply.sent || reply.raw.writableEnded) return;
  // It has its 503, which onError hooks may delay.
  if (reply.request.raw.openRequest?.isLate) return;
  reply.failure = toError(error);
  reply.raw.destroy();
}
