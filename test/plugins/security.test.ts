import { createServer, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { InjectOptions } from 'fastify';
import helmet from 'helmet';
import { type Test, test } from 'tap';
import { buildAppWithRoutes, buildTestApp } from '../helper.ts';

/** Requests by the status of their answer. */
const ANSWERS: Record<number, InjectOptions> = {
  200: { url: '/health/live' },
  400: { method: 'POST', url: '/echo', payload: {} },
  404: { url: '/nowhere' },
  405: { method: 'PUT', url: '/echo' },
  415: { method: 'POST', url: '/echo', payload: 'a', headers: { 'content-type': 'text/plain' } },
};

const routes = [
  new URL('../../routes/', import.meta.url),
  new URL('../fixture/routes/', import.meta.url),
];

/** The policy of answers that are not pages: nothing may be loaded, framed or sent. */
const POLICY = "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'";

/** The helmet headers of an answer that is not a page. */
const ANY_ANSWER = [
  'content-security-policy',
  'cross-origin-resource-policy',
  'referrer-policy',
  'x-content-type-options',
];

test('Every answer has the helmet headers that concern it', async (t) => {
  const app = await buildTestApp(t, {}, { routes });
  const helmets: OutgoingHttpHeaders = await askHelmet(t);
  for (const [status, request] of Object.entries(ANSWERS)) {
    const { statusCode, headers } = await app.inject(request);
    t.equal(statusCode, Number(status));
    for (const [name, value] of Object.entries(helmets)) {
      const expected = name === 'content-security-policy' ? POLICY : value;
      t.equal(headers[name], ANY_ANSWER.includes(name) ? expected : undefined, name);
    }
  }
});

test('A page has all helmet headers, and a content security policy of its own', async (t) => {
  const { app } = await buildAppWithRoutes(
    t,
    `export default async (app) => app.get('/a-page', async (_request, reply) => {
      const policy = "style-src 'self'";
      reply.type('text/html').headers(app.pageHeaders).header('content-security-policy', policy);
      return '<p>A page</p>';
    });`,
  );
  const { 'strict-transport-security': transport, ...helmets } = await askHelmet(t);
  const { headers } = await app.inject('/a-page');
  t.match(headers['content-type'], 'text/html');
  t.match(headers, { ...helmets, 'content-security-policy': /style-src/ });
  t.notOk(headers['strict-transport-security'], 'a browser ignores it over http');
});

test('No answer names the software of the server', async (t) => {
  const app = await buildTestApp(t, {}, { routes });
  for (const request of Object.values(ANSWERS)) {
    const { headers } = await app.inject(request);
    for (const name of ['server', 'x-powered-by', 'via', 'x-version']) t.notOk(headers[name], name);
  }
});

test('HSTS is sent only over https, as a trusted proxy reports it', async (t) => {
  const app = await buildTestApp(t);
  const { 'strict-transport-security': transport } = await askHelmet(t);
  const ask = async (remoteAddress: string, proto: string) => {
    const answer = await app.inject({
      url: '/nowhere',
      remoteAddress,
      headers: { 'x-forwarded-proto': proto },
    });
    return answer.headers['strict-transport-security'];
  };
  t.equal(await ask('10.1.2.3', 'https'), transport);
  t.equal(await ask('10.1.2.3', 'http'), undefined);
  t.equal(
    await ask('10.1.2.3', 'https, http'),
    undefined,
    'the last one is the proxy next to the app',
  );
  t.equal(await ask('203.0.113.7', 'https'), undefined, "an untrusted client's header is ignored");
});

/** Returns helmet's default headers. */
async function askHelmet(t: Test): Promise<OutgoingHttpHeaders> {
  const server = createServer((request, response) => {
    helmet()(request, response, () => response.end(JSON.stringify(response.getHeaders())));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}`, { headers: { connection: 'close' } });
  return (await answer.json()) as OutgoingHttpHeaders;
}
