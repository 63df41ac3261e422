import type { FastifyInstance, FastifyReply } from 'fastify';

type Source = { destroy?: () => void; cancel?: () => Promise<void> } | null | undefined;

/** Headers of one connection (RFC 9110, 7.6.1), and of a body that fetch has decoded. */
const NOT_PASSED_ON = /^(connection|keep-alive|transfer-encoding)$/;
const DECODED = /^content-(encoding|length)$/;

/**
 * Notes that an answer is being sent, and ends the source of a stream with its answer. Fastify
 * leaves it open if the answer has no body, as for HEAD: it reads a stream of events forever.
 */
export function endSources(app: FastifyInstance): void {
  app.addHook('onSend', (request, reply, payload: unknown, done) => {
    const entry = request.raw.openRequest;
    if (entry) entry.isAnswering = true;
    // The `keep-alive` of a proxied answer would undo the `close` of a drain.
    if (reply.raw.getHeader('connection') === 'close') reply.header('connection', 'close');
    if (typeof payload === 'string') return done(null, payload);
    const response = isResponse(payload) ? payload : undefined;
    const source = (response ? response.body : payload) as Source;
    if (source?.destroy) reply.raw.once('close', () => source.destroy?.());
    if (source?.cancel) reply.raw.once('close', () => source.cancel?.().catch(() => undefined));
    if (!response || response.bodyUsed) return done(null, payload);
    copyHead(response, reply);
    done(null, source ?? '');
  });
}

/** Fastify fails for HEAD, and passes all headers on. */
function copyHead({ status, headers, url }: Response, reply: FastifyReply): void {
  reply.code(status);
  const isFetched = url !== '';
  for (const [name, value] of headers)
    if (!NOT_PASSED_ON.test(name) && !(isFetched && DECODED.test(name))) reply.header(name, value);
}

/** As Fastify does. With `instanceof`, Node would load all of fetch. */
function isResponse(payload: unknown): payload is Response {
  return Object.prototype.toString.call(payload) === '[object Response]';
}
