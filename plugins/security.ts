import type { IncomingMessage } from 'node:http';
import fp from 'fastify-plugin';
import helmet from 'helmet';
import { http } from '../src/node-http.ts';

/** An answer of an API is not a page. As a page it loads nothing, sends no form, has no frame. */
const POLICY = "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'";

/** Headers for every answer, from OWASP's REST security cheat sheet. The others are for pages. */
const ANY_ANSWER = [
  'content-security-policy',
  'cross-origin-resource-policy',
  'referrer-policy',
  'x-content-type-options',
];

/** Adds Helmet's headers. @fastify/helmet computes them for each answer: half the throughput. */
export default fp(
  async (app) => {
    const { 'strict-transport-security': transport = '', ...headers } = collectHeaders();
    const always = Object.entries(headers).filter(([name]) => ANY_ANSWER.includes(name));
    Object.assign(app.pageHeaders, headers);
    app.addHeaders((reply, { protocol }) => {
      for (const [name, value] of always) reply.header(name, value);
      // Not over http: browsers ignore it there, because others can change it (RFC 6797, 7.2).
      if (protocol === 'https') reply.header('strict-transport-security', transport);
    });
  },
  { name: 'security' },
);

function collectHeaders(): Record<string, string> {
  const request = {} as IncomingMessage;
  const response = new http.ServerResponse(request);
  helmet({ contentSecurityPolicy: false })(request, response, () => undefined);
  return { 'content-security-policy': POLICY, ...response.getHeaders() } as Record<string, string>;
}
