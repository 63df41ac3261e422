import type { FastifyInstance, FastifyReply } from 'fastify';

/** Statuses whose answers have a body, in the form of a response schema's keys. */
export const WITH_BODY = /^2(?!0[45])/;

/** Refuses a success without its schema's value: Fastify would send an empty body. */
export function refuseMissingAnswers(app: FastifyInstance): void {
  app.addHook('onSend', ({ method }, reply, payload, done) => {
    if (payload !== undefined || method === 'HEAD' || !needsBody(reply)) done();
    else done(describe('nothing', reply.statusCode));
  });
}

/** Refuses null where the schema does not allow it: it would be written as {}, [], "" or 0. */
export function refuseNull(answer: unknown, text: string, status: string): string {
  if (answer !== null || text === 'null' || !WITH_BODY.test(status)) return text;
  throw describe('null', status);
}

function needsBody(reply: FastifyReply): boolean {
  if (!WITH_BODY.test(`${reply.statusCode}`)) return false;
  try {
    reply.serialize(undefined as never);
    return false;
  } catch {
    return true;
  }
}

function describe(returned: string, status: number | string): Error {
  const reason = `The handler returned ${returned}, but ${status} has a schema`;
  return new Error(`${reason}: is a return missing, or an error for what was not found?`);
}
