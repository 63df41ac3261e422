import type { FastifyInstance, FastifyReply } from 'fastify';

/** Refuses a success without its schema's object or list: Fastify would send an empty body. */
export function refuseMissingAnswers(app: FastifyInstance): void {
  app.addHook('onSend', ({ method }, reply, payload, done) => {
    if (payload !== undefined || method === 'HEAD' || !needsBody(reply)) return done();
    const reason = `The handler returned nothing, but ${reply.statusCode} has a schema`;
    done(new Error(`${reason}: is a return missing, or an error for what was not found?`));
  });
}

function needsBody({ statusCode, request }: FastifyReply): boolean {
  const { response } = Object(request.routeOptions.schema);
  const { type } = Object(response?.[statusCode] ?? response?.['2xx']);
  const mayHaveBody = statusCode < 300 && statusCode !== 204 && statusCode !== 205;
  return mayHaveBody && (type === 'object' || type === 'array');
}
