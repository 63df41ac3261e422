import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { refuseRequest } from '../plugins/errors/refuse-request.ts';
import { handleAfter } from './in-turn.ts';

/** What is known about a request. If the parser refused it, only its connection is known. */
export type Caller = Pick<
  FastifyRequest,
  'id' | 'clientAddress' | 'protocol' | 'headers' | 'routeOptions'
>;

export type AnswerHeaders = Pick<FastifyReply, 'header'>;

declare module 'fastify' {
  interface FastifyRequest {
    /** The client's address for the rate limit and the log. Stays after the connection closes. */
    clientAddress: string;
    /** Additional fields of the request's log line, such as the user. */
    logFields?: Record<string, string>;
  }

  interface FastifyInstance {
    /** Adds a synchronous function that sets headers of every answer, even to invalid HTTP. */
    addHeaders(set: (reply: AnswerHeaders, caller: Caller) => void): void;
    /** More headers for HTML pages. Only browsers read them. */
    pageHeaders: Record<string, string>;
    /** The rate limit, if there is one: throws or rejects when a client exceeds it. */
    countRequest?: (caller: Caller, reply: AnswerHeaders) => Promise<void> | undefined;
    /** Runs the rest of a request. A plugin may replace it, to do that in a context of its own. */
    enterRequest(request: FastifyRequest, next: () => void): void;
    prepareAnswer(caller: Caller, reply: AnswerHeaders): Promise<void> | undefined;
  }
}

/** Adds the hook that prepares every answer. Call it before the plugins load: it must run first. */
export function prepareAnswers(app: FastifyInstance): void {
  const setters: Parameters<FastifyInstance['addHeaders']>[0][] = [];
  app.decorate('addHeaders', (set) => void setters.push(set));
  app.decorate('pageHeaders', {});
  app.decorate('enterRequest', (_request, next) => next());
  app.decorateRequest('clientAddress', '');
  app.decorateRequest('logFields');
  app.decorate('prepareAnswer', (caller, reply) => {
    for (const set of setters) set(reply, caller);
    return app.countRequest?.(caller, reply);
  });
  app.addHook('onRequest', (request, reply, done) => {
    const refusal = refuseRequest(request);
    // Behind an Upgrade that is not taken, Node drops what it has read of the next request.
    if (refusal || request.headers.upgrade) reply.header('connection', 'close');
    const entry = request.raw.openRequest;
    const previous = entry?.takePrevious();
    const counted = app.prepareAnswer(request, reply);
    // Refused only now: the rate limit has counted it.
    const handle = () => app.enterRequest(request, () => done(refusal));
    const enter = previous ? () => handleAfter(previous, entry!, reply, handle) : handle;
    if (counted) counted.then(enter, done);
    else enter();
  });
}

/** Adds a field (in lower case) to Vary: caches keep one answer for each value of that header. */
export function addVary(reply: FastifyReply | AnswerHeaders, field: string): void {
  const before = 'getHeader' in reply ? reply.getHeader('vary') : undefined;
  const fields = `${before ?? ''}`.split(',').map((known) => known.trim());
  const isKnown = fields.some((known) => known === '*' || known.toLowerCase() === field);
  if (!isKnown) reply.header('vary', [...fields, field].filter(Boolean).join(', '));
}
