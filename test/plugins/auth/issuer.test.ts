import type { RequestListener } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { test } from 'tap';
import { buildTestApp, captureLog, DOWN, findFreePort, poll } from '../../helper.ts';
import { signIn, startIssuer, type TestIssuer } from './test-issuer.ts';

const DISCOVERY = '/.well-known/openid-configuration';

const send =
  (text: string, status = 200): RequestListener =>
  ({ url }, response) =>
    void response.writeHead(status, { location: `/moved${url}` }).end(text);

const name = (issuer: TestIssuer, document: object) =>
  send(JSON.stringify({ issuer: issuer.url, jwks_uri: `${issuer.url}/jwks`, ...document }));

const ask = (app: FastifyInstance, token: string) => signIn(app, token).inject('/me');

/** Bad answers of the issuer. */
const BAD_ANSWERS: Record<string, (issuer: TestIssuer) => Record<string, RequestListener>> = {
  HTML: () => ({ [DISCOVERY]: send('<html>') }),
  'JSON that is not a discovery document': () => ({ [DISCOVERY]: send('{}') }),
  'an error': () => ({ [DISCOVERY]: send('{}', 500) }),
  'no content': () => ({ [DISCOVERY]: (_request, response) => void response.writeHead(204).end() }),
  'a redirect': () => ({ [DISCOVERY]: send('', 302) }),
  'another issuer': (issuer) => ({ [DISCOVERY]: name(issuer, { issuer: `${issuer.url}/` }) }),
  null: () => ({ [DISCOVERY]: send('null') }),
  'no jwks_uri': (issuer) => ({ [DISCOVERY]: name(issuer, { jwks_uri: undefined }) }),
  'a list as jwks_uri': (issuer) => ({
    [DISCOVERY]: name(issuer, { jwks_uri: [`${issuer.url}/jwks`] }),
  }),
  'a file: URL as jwks_uri': (issuer) => ({
    [DISCOVERY]: name(issuer, { jwks_uri: 'file:///etc/keys' }),
  }),
  'a jwks_uri that is not a URL': (issuer) => ({
    [DISCOVERY]: name(issuer, { jwks_uri: 'the cellar' }),
  }),
  'a jwks_uri on another host over plain HTTP': (issuer) => ({
    [DISCOVERY]: name(issuer, { jwks_uri: 'http://127.0.0.1.example/jwks' }),
  }),
  'a redirect for its keys': () => ({ '/jwks': send('', 307) }),
  'keys in 64 MiB of gzip': (issuer) => ({
    '/jwks': (_request, response) => {
      const text = JSON.stringify({ keys: issuer.published }) + ' '.repeat(64 * 1024 * 1024);
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(text, { level: 1 }));
    },
  }),
  'a byte now and then': (issuer) => ({
    '/jwks': (_request, response) => {
      response.write(JSON.stringify({ keys: issuer.published }));
      const timer = setInterval(() => response.write(' '), 10);
      response.once('close', () => clearInterval(timer));
    },
  }),
  'no key set': () => ({ '/jwks': send('{"keys":{}}') }),
  'null as its key set': () => ({ '/jwks': send('null') }),
  'endless keys': () => ({
    '/jwks': (_request, response) => {
      const fill = () => {
        while (response.writable && response.write('a'.repeat(64 * 1024)));
      };
      response.on('drain', fill);
      fill();
    },
  }),
  nothing: () => ({ '/jwks': () => undefined }),
};

for (const [name, answer] of Object.entries(BAD_ANSWERS)) {
  test(`An issuer that answers ${name} makes routes answer 503 AUTH_UNAVAILABLE`, async (t) => {
    const issuer = await startIssuer(t);
    Object.assign(issuer.answers, answer(issuer));
    const { logger, lines } = captureLog();
    const app = await buildTestApp(t, { DATABASE_URL: DOWN, ...issuer.environment }, { logger });
    const token = await issuer.sign();
    const refused = await ask(app, token);
    t.match(refused.json(), { statusCode: 503, code: 'AUTH_UNAVAILABLE' });
    t.match(refused.headers['retry-after'], /^\d+$/);
    t.equal(refused.headers['cache-control'], 'no-store');
    const err = { message: /cannot be reached/, cause: { message: new RegExp(`^${issuer.url}`) } };
    t.match(lines.at(-1), { level: 50, status: 503, err });
    t.notMatch(JSON.stringify(lines), token);
    t.match((await app.readiness.report()).services, { auth: { status: 'down' } });
  });
}

test('An issuer that is down makes the app degraded, and is asked again', async (t) => {
  const issuer = await startIssuer(t);
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, ...issuer.environment });
  const isUp = async () => (await app.readiness.report()).services.auth?.status === 'up';
  await issuer.stop();
  t.notOk(await isUp());
  t.equal((await ask(app, await issuer.sign())).statusCode, 503);
  await issuer.start();
  await poll(isUp);
  t.equal((await ask(app, await issuer.sign())).statusCode, 200);
  const asked = issuer.requests.length;
  t.ok(await isUp());
  t.equal(issuer.requests.length, asked, 'the keys of the readiness check are kept');
});

test('The discovery document of an issuer with a path is below that path', async (t) => {
  const issuer = await startIssuer(t);
  const url = `${issuer.url}/realm/`;
  issuer.answers['/realm/.well-known/openid-configuration'] = name(issuer, { issuer: url });
  const app = await buildTestApp(t, {
    DATABASE_URL: DOWN,
    ...issuer.environment,
    AUTH_ISSUER_URL: url,
  });
  t.equal((await ask(app, await issuer.sign({ iss: url }))).statusCode, 200);
  t.strictSame(issuer.requests, ['/realm/.well-known/openid-configuration', '/jwks']);
});

test('A token without kid is checked with each key of its algorithm', async (t) => {
  const issuer = await startIssuer(t);
  await issuer.addKey('ES256', 'second');
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, ...issuer.environment });
  t.equal((await ask(app, await issuer.signWithout('second'))).statusCode, 200);
  const other = await startIssuer(t);
  t.equal((await ask(app, await other.signWithout('ES256', { iss: issuer.url }))).statusCode, 401);
});

test('A bad AUTH_ISSUER_URL or no AUTH_AUDIENCE keeps the app from starting', async (t) => {
  const port = await findFreePort();
  const bad = [
    'http://issuer.example',
    'http://127.0.0.1.example',
    `https://user@127.0.0.1:${port}`,
    'https://issuer.example/?a=b',
    'https://issuer.example/{tenantid}/v2.0',
    'ftp://issuer.example',
    'local:',
  ];
  for (const AUTH_ISSUER_URL of bad) {
    const environment = { DATABASE_URL: DOWN, AUTH_ISSUER_URL };
    await t.rejects(
      buildTestApp(t, environment),
      /AUTH_AUDIENCE is missing[\s\S]*AUTH_ISSUER_URL is/,
    );
  }
  const environment = { DATABASE_URL: DOWN, AUTH_ISSUER_URL: `http://localhost:${port}` };
  await t.rejects(buildTestApp(t, environment), /AUTH_AUDIENCE is missing; expected the name/);
});
