import type { IncomingMessage } from 'node:http';
import fp from 'fastify-plugin';
import helmet, { type HelmetOptions } from 'helmet';

/** Helmet's defaults, but for these. */
const OPTIONS: HelmetOptions = {
  contentSecurityPolicy: {
    // An API's answer is no page: nothing may be loaded, framed or sent from it.
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      baseUri: ["'none'"],
      formAction: ["'none'"],
      frameAncestors: ["'none'"],
    },
  },
};

/** What concerns any answer, as in OWASP's REST security cheat sheet; the rest is for pages. */
const ANY_ANSWER = [
  'content-security-policy',
  'cross-origin-resource-policy',
  'referrer-policy',
  'x-content-type-options',
];

/**
 * Helmet's security headers: four on every answer, all on those that ask for `app.pageHeaders`.
 * They are computed once: @fastify/helmet computes them for each, half of the throughput.
 */
export default fp(
  async (app) => {
    const { 'strict-transport-security': transport = '', ...headers } = collectHeaders();
    const always = Object.entries(headers).filter(([name]) => ANY_ANSWER.includes(name));
    Object.assign(app.pageHeaders, headers);
    app.addHeaders((reply, { protocol }) => {
      for (const [name, value] of always) reply.header(name, value);
      // Browsers ignore it over http, where anybody on the way could have put it (RFC 6797, 7.2).
      if (protocol === 'https') reply.header('strict-transport-security', transport);
    });
  },
  { name: 'security' },
);

function collectHeaders(): Record<string, string> {
  // On Node 26, an import would load all of its fetch: 10 to 40 ms of a start.
  const { ServerResponse } = process.getBuiltinModule('node:http');
  const request = {} as IncomingMessage;
  const response = new ServerResponse(request);
  helmet(OPTIONS)(request, response, () => undefined);
  return response.getHeaders() as Record<string, string>;
}
