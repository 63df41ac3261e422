import type { FastifyInstance } from 'fastify';

type Source = { destroy?: () => void; cancel?: () => Promise<void> } | null | undefined;

/**
 * Notes that an answer is being sent, and ends the source of a stream with its answer. Fastify
 * leaves it open if the answer has no body, as for HEAD: it reads a stream of events forever.
 */
export function endSources(app: FastifyInstance): void {
  app.addHook('onSend', (request, reply, payload: unknown, done) => {
    const entry = request.raw.openRequest;
    if (entry) entry.isAnswering = true;
    if (typeof payload === 'string') return done(null, payload);
    const response = isResponse(payload) ? payload : undefined;
    const source = (response ? response.body : payload) as Source;
    if (source?.destroy) reply.raw.once('close', () => source.destroy?.());
    if (source?.cancel) reply.raw.once('close', () => source.cancel?.().catch(() => undefined));
    if (!response || response.bodyUsed || request.method !== 'HEAD') return done(null, payload);
    // For HEAD, Fastify would fail to compute the length of a Response.
    reply.code(response.status);
    for (const [name, value] of response.headers) reply.header(name, value);
    done(null, source ?? '');
  });
}

/** As Fastify does. With `instanceof`, Node would load all of fetch. */
function isResponse(payload: unknown): payload is Response {
  return Object.prototype.toString.call(payload) === '[object Response]';
}
