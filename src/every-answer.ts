import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** What is known of a request: of one that the parser refused, no more than its connection. */
export type Caller = Pick<
  FastifyRequest,
  'id' | 'clientAddress' | 'protocol' | 'headers' | 'routeOptions'
>;

/** Takes the headers of an answer. */
export type AnswerHeaders = Pick<FastifyReply, 'header'>;

declare module 'fastify' {
  interface FastifyInstance {
    /** Adds a function that sets headers of each answer: at once, also of what is no request. */
    addHeaders(set: (reply: AnswerHeaders, caller: Caller) => void): void;
    /** Headers for HTML pages, which only browsers read. */
    pageHeaders: Record<string, string>;
    /** The rate limit, where there is one: throws, or rejects, when the client asks too often. */
    countRequest?: (caller: Caller, reply: AnswerHeaders) => Promise<void> | undefined;
    /** Sets the headers that every answer has, and counts the request. */
    beginAnswer(caller: Caller, reply: AnswerHeaders): Promise<void> | undefined;
  }
}

/** Begins every answer in the first hook, whatever the plugins' names: called before they load. */
export function beginAnswers(app: FastifyInstance): void {
  const setters: Parameters<FastifyInstance['addHeaders']>[0][] = [];
  app.decorate('addHeaders', (set) => void setters.push(set));
  app.decorate('pageHeaders', {});
  app.decorateRequest('clientAddress', '');
  app.decorate('beginAnswer', (caller, reply) => {
    for (const set of setters) set(reply, caller);
    return app.countRequest?.(caller, reply);
  });
  app.addHook('onRequest', (request, reply, done) => {
    const counted = app.beginAnswer(request, reply);
    if (counted) counted.then(() => done(), done);
    else done();
  });
}

/** Adds a field to Vary: caches keep the answers apart that differ by it. */
export function addVary(reply: FastifyReply | AnswerHeaders, field: string): void {
  const before = 'getHeader' in reply ? reply.getHeader('vary') : undefined;
  reply.header('vary', before ? `${before}, ${field}` : field);
}
