import fp from 'fastify-plugin';
import { type Static, Type } from 'typebox';
import { addVary } from '../src/every-answer.ts';

/** How long a browser may cache the answer to a preflight, in seconds: Chrome's maximum. */
const PREFLIGHT_AGE_S = 7_200;

const ORIGIN = 'https?://[^/,\\s*@?#\\\\]+';

export const settings = Type.Object({
  CORS_ORIGIN: Type.Optional(
    Type.String({
      format: 'origins',
      pattern: `^(\\*|${ORIGIN}(\\s*,\\s*${ORIGIN})*)$`,
      description: 'The origins whose pages may call the API, or * for all; none when not set',
      expected: 'a comma list of origins such as https://example.com without a path, or * alone',
      remedy: 'Set CORS_ORIGIN=https://example.com, or leave it out',
    }),
  ),
});

declare module './env/index.ts' {
  interface Config extends Static<typeof settings> {}
}

/** Other methods that the app supports, such as QUERY, are allowed when asked for. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

const EXPOSED =
  'location, retry-after, www-authenticate, x-request-id, ' +
  'ratelimit-limit, ratelimit-remaining, ratelimit-reset';

/** Lets pages of other origins call the API. @fastify/cors misses answers that skip its hook. */
export default fp(
  async (app) => {
    const { CORS_ORIGIN: list } = app.config;
    if (!list) return;
    const isOpen = list === '*';
    // As browsers write them: in lower case, without a usual port.
    const origins = isOpen ? [] : list.split(',').map((url) => new URL(url).origin);
    app.addHeaders((reply, { headers: { origin = '' } }) => {
      if (!isOpen) addVary(reply, 'origin');
      if (!isOpen && !origins.includes(origin)) return;
      reply.header('access-control-allow-origin', isOpen ? '*' : origin);
      reply.header('access-control-expose-headers', EXPOSED);
    });
    // A handler may have set another Vary. An asynchronous hook would let a request that another
    // hook has refused reach its handler meanwhile.
    if (!isOpen)
      app.addHook('onSend', (_request, reply, _payload, done) => {
        addVary(reply, 'origin');
        done();
      });
    app.addHook('onRequest', ({ method, headers }, reply, done) => {
      const asked = headers['access-control-request-method'];
      if (method !== 'OPTIONS' || !asked) return done();
      addVary(reply, 'access-control-request-headers');
      const others = app.supportedMethods.filter((one) => one === asked && !METHODS.includes(one));
      reply.header('access-control-allow-methods', [...METHODS, ...others].join(', '));
      reply.header('access-control-max-age', `${PREFLIGHT_AGE_S}`);
      const fields = headers['access-control-request-headers'];
      if (fields) reply.header('access-control-allow-headers', fields);
      reply.code(204).send();
    });
  },
  { name: 'cors', dependencies: ['errors'] },
);
