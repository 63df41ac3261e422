import type { FastifyInstance, FastifyReply } from 'fastify';

/**
 * Makes an answer of undefined an error if the schema describes an object or a list: the handler has
 * found nothing, or forgot its `return`. Fastify would send an empty body with a success.
 */
export function refuseMissingAnswers(app: FastifyInstance): void {
  app.addHook('onSend', ({ method }, reply, payload, done) => {
    if (payload !== undefined || method === 'HEAD' || !needsBody(reply)) return done();
    const reason = `The handler returned nothing, but ${reply.statusCode} has a schema`;
    done(new Error(`${reason}: is a return missing, or an error for what was not found?`));
  });
}

function needsBody({ statusCode, request }: FastifyReply): boolean {
  const { response } = Object(request.routeOptions.schema);
  const { type } = Object(response?.[statusCode]);
  return statusCode < 300 && (type === 'object' || type === 'array');
}
