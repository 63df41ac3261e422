import { once } from 'node:events';
import { get } from 'node:http';
import { json } from 'node:stream/consumers';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { type Test, test } from 'tap';
import { buildAppWithRoutes, type Environment } from '../../helper.ts';
import { type Claims, startIssuer } from './test-issuer.ts';

/** Protected routes, and an open one. */
const ROUTES = `
  const answer = async ({ user }) => ({ user });
  export default async (app) => {
    app.get('/mine', { config: { auth: true } }, answer);
    app.post('/mine', { config: { auth: true } }, answer);
    app.get('/write', { config: { auth: { scope: 'notes:read notes:write' } } }, answer);
    app.get('/missing', { config: { auth: true } }, async (_, reply) => reply.code(404).send({}));
    app.get('/broken', { config: { auth: true } }, async () => { throw new Error('broken'); });
    app.get('/open', async ({ user }) => ({ user: String(user) }));
  };
`;

const UNAUTHENTICATED = { statusCode: 401, code: 'UNAUTHENTICATED', error: 'Unauthorized' };
const INVALID = { statusCode: 401, code: 'INVALID_TOKEN', error: 'Unauthorized' };

async function build(t: Test, environment: Environment = {}) {
  const issuer = await startIssuer(t, ['ES256', 'RS256', 'EdDSA']);
  const { app, lines } = await buildAppWithRoutes(t, ROUTES, {
    LOG_LEVEL: 'debug',
    ...issuer.environment,
    ...environment,
  });
  return { issuer, app, lines };
}

const ask = (app: FastifyInstance, token: string, url = '/mine') =>
  app.inject({ url, headers: { authorization: `Bearer ${token}` } });

test('A request without a token answers 401 UNAUTHENTICATED', async (t) => {
  const { app, issuer } = await build(t);
  for (const authorization of [undefined, '', 'Basic YTpi', 'Bearerx y', 'Digest a="b", c="d"']) {
    const headers = authorization === undefined ? {} : { authorization };
    const answer = await app.inject({ url: '/mine', headers });
    t.match(answer.json(), UNAUTHENTICATED, `${authorization}`);
    t.equal(answer.headers['www-authenticate'], 'Bearer');
    t.equal(answer.headers['cache-control'], 'no-store');
  }
  t.strictSame(issuer.requests, [], 'the issuer is not asked');
});

test('A valid token identifies the caller, in each algorithm', async (t) => {
  const { app, issuer, lines } = await build(t);
  for (const alg of ['ES256', 'RS256', 'EdDSA']) {
    const token = await issuer.sign({ scope: 'a b' }, { alg });
    for (const scheme of ['Bearer', 'bearer', 'BEARER '])
      t.match(
        (
          await app.inject({ url: '/mine', headers: { authorization: `${scheme} ${token}` } })
        ).json(),
        { user: { id: 'alice', scopes: ['a', 'b'], claims: { iss: issuer.url, sub: 'alice' } } },
      );
    t.notMatch(JSON.stringify(lines), token);
  }
  const { headers } = await ask(app, await issuer.sign());
  t.equal(headers['cache-control'], 'no-store');
  t.match(lines.at(-1), { path: '/mine', status: 200, user: 'alice' });
  t.strictSame(issuer.requests, ['/.well-known/openid-configuration', '/jwks'], 'asked once');
});

test('A route without config.auth answers without a token and has no request.user', async (t) => {
  const { app, issuer } = await build(t);
  const answer = await ask(app, await issuer.sign(), '/open');
  t.strictSame(answer.json(), { user: 'undefined' });
  t.equal(answer.headers['cache-control'], undefined);
});

/** Wrong claims, and their log line. */
const BAD_CLAIMS: Record<string, [Claims, object]> = {
  expired: [{ exp: 1 }, { cause: 'ERR_JWT_EXPIRED', claim: 'exp' }],
  'not yet valid': [{ nbf: 9e9 }, { cause: 'ERR_JWT_CLAIM_VALIDATION_FAILED', claim: 'nbf' }],
  'of another issuer': [{ iss: 'https://other.example' }, { claim: 'iss' }],
  'for another app': [{ aud: 'other' }, { claim: 'aud' }],
  'for other apps': [{ aud: ['other', 'poort2'] }, { claim: 'aud' }],
  'without aud': [{ aud: undefined }, { claim: 'aud' }],
  'without exp': [{ exp: undefined }, { claim: 'exp' }],
  'without sub': [{ sub: undefined }, { claim: 'sub or exp' }],
  'with an empty sub': [{ sub: '' }, { claim: 'sub or exp' }],
  'with NUL in sub': [{ sub: 'a\0' }, { claim: 'sub or exp' }],
  'with half of a surrogate pair in sub': [{ sub: 'a\ud800' }, { claim: 'sub or exp' }],
  'with exp as text': [{ exp: '9999999999' }, { claim: 'exp' }],
  'with nbf as text': [{ nbf: '1' }, { claim: 'nbf' }],
  'with an object as aud': [{ aud: { poort: 1 } }, { claim: 'aud' }],
  'with a list as iss': [{ iss: [] }, { claim: 'iss' }],
  'with a list as sub': [{ sub: ['alice'] }, { claim: 'sub or exp' }],
  'with a number as sub': [{ sub: 7 }, { claim: 'sub or exp' }],
};

test('A token with wrong claims answers 401 INVALID_TOKEN', async (t) => {
  const { app, issuer, lines } = await build(t);
  for (const [name, [claims, cause]] of Object.entries(BAD_CLAIMS)) {
    lines.length = 0;
    const token = await issuer.sign(claims);
    const answer = await ask(app, token);
    t.match(answer.json(), INVALID, name);
    t.equal(answer.headers['www-authenticate'], 'Bearer error="invalid_token"', name);
    t.equal(answer.headers['cache-control'], 'no-store');
    t.match(lines, [{ level: 20, ...cause }, { status: 401 }], name);
    t.notMatch(JSON.stringify(lines), token);
  }
});

test('A token whose key cannot be used answers 401, and the debug log says why', async (t) => {
  const { app, issuer, lines } = await build(t);
  await issuer.addKey('ES256', 'broken', { x: 'AAAA' });
  const answer = await ask(app, await issuer.sign({}, { kid: 'broken' }));
  t.match(answer.json(), INVALID);
  t.match(
    lines.find(({ level }) => level === 20),
    { msg: 'Bearer token refused', cause: /key/i },
  );
});

/** The last letter of a 64-byte signature has four unused bits. */
const addBit = (letter: string) => String.fromCharCode(letter.charCodeAt(0) + 1);

test('A token that is malformed or not of the issuer answers 401 INVALID_TOKEN', async (t) => {
  const { app, issuer, lines } = await build(t);
  const token = await issuer.sign();
  const [header, payload, signature = ''] = token.split('.');
  const forged = await startIssuer(t);
  const bad = {
    'an empty token': '',
    'another format': 'a.b.c',
    'an opaque token': 'opaque',
    'a password with dots': `${Buffer.from('admin:hunter2').toString('base64url')}.1.x`,
    'a payload that is not JSON': await issuer.signText('hunter2'),
    'two tokens': `${token} ${token}`,
    'no signature': `${header}.${payload}.`,
    'a part of the signature': token.slice(0, -4),
    'another payload': `${header}.${btoa('{"sub":"bob"}')}.${signature}`,
    'the key of another issuer': await forged.sign({ iss: issuer.url }),
    'an unknown key': await forged.signWithout('ES256', { iss: issuer.url }),
    'another typ': await issuer.sign({}, { typ: 'logout+jwt' }),
    'a typ that is not text': await issuer.sign({}, { typ: ['JWT'] }),
    'a kid that is not text': await issuer.sign({}, { kid: 7 }),
    'a kid of 10 KiB': await issuer.sign({}, { kid: 'a'.repeat(10_240) }),
    'a jwk in its header': await forged.sign({ iss: issuer.url }, { jwk: forged.published[0] }),
    'a space in the signature': `${header}.${payload}.${signature.replace(/.{9}/, '$& ')}`,
    'a signature with padding': `${token}==`,
    'a signature with another last bit': `${token.slice(0, -1)}${addBit(token.at(-1) as string)}`,
    '64 KiB': 'a'.repeat(65_536),
    'a critical extension': await issuer.sign({}, { crit: ['b64'], b64: true }),
  };
  for (const [name, value] of Object.entries(bad)) {
    lines.length = 0;
    const answer = await ask(app, value);
    t.match(answer.json(), INVALID, name);
    t.equal(answer.headers['www-authenticate'], 'Bearer error="invalid_token"', name);
    t.match(lines, [{ level: 20, reason: /^[\w"]/ }, { status: 401 }], name);
    t.notMatch(JSON.stringify(lines), 'hunter2', name);
  }
});

test('More than one Authorization header answers 401 INVALID_TOKEN', async (t) => {
  const { app, issuer } = await build(t);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const token = `Bearer ${await issuer.sign()}`;
  for (const headers of [
    [token, token],
    ['Basic YTpi', token],
    [token, ''],
  ]) {
    const request = get(`${url}/mine`, { headers: { authorization: headers as never } });
    const [answer] = await once(request, 'response');
    t.equal(answer.statusCode, 401);
    t.match(await json(answer), INVALID);
  }
});

test('Scopes are read from each claim that issuers use, each once', async (t) => {
  const { app, issuer } = await build(t);
  const expected: [Claims, string[]][] = [
    [{}, []],
    [{ scope: 'a  b a' }, ['a', 'b']],
    [{ scp: 'a b', permissions: ['b', 'c'] }, ['a', 'b', 'c']],
    [{ scope: 'a', scp: ['b', 'a'] }, ['a', 'b']],
    [{ scope: ['a', 'b'], scp: 'b c' }, ['b', 'c', 'a']],
    [{ scope: { a: 'a' }, scp: 7, permissions: 'b' }, []],
    [{ permissions: ['a', 7, null, ''] }, ['a']],
  ];
  for (const [claims, scopes] of expected) {
    const answer = await ask(app, await issuer.sign(claims));
    t.strictSame(answer.json().user?.scopes, scopes, answer.body);
  }
});

test("A token without the route's scope answers 403 INSUFFICIENT_SCOPE", async (t) => {
  const { app, issuer } = await build(t);
  const answer = await ask(app, await issuer.sign({ scope: 'notes:read' }), '/write');
  t.match(answer.json(), { statusCode: 403, code: 'INSUFFICIENT_SCOPE', error: 'Forbidden' });
  t.equal(
    answer.headers['www-authenticate'],
    'Bearer error="insufficient_scope", scope="notes:read notes:write"',
  );
  t.equal(answer.headers['cache-control'], 'no-store');
  const token = await issuer.sign({ scope: 'notes:write notes:read' });
  t.equal((await ask(app, token, '/write')).statusCode, 200);
});

test('A request without a token answers 401 before its body is read', async (t) => {
  const { app } = await build(t);
  const headers = { 'content-type': 'application/json' };
  const answer = await app.inject({ method: 'POST', url: '/mine', headers, payload: '{not JSON' });
  t.equal(answer.statusCode, 401);
  t.ok(answer.headers['x-request-id']);
});

test('Each answer of a protected route has Cache-Control: no-store', async (t) => {
  const { app, issuer } = await build(t, { RATE_LIMIT_MAX: '6' });
  const headers = { authorization: `Bearer ${await issuer.sign()}`, 'content-type': 'text/x' };
  const json = { ...headers, 'content-type': 'application/json' };
  const requests: [number, InjectOptions][] = [
    [200, { method: 'HEAD', url: '/mine' }],
    [400, { method: 'POST', url: '/mine', headers: json, payload: '{' }],
    [404, { url: '/missing' }],
    [415, { method: 'POST', url: '/mine', payload: 'x' }],
    [413, { method: 'POST', url: '/mine', headers: json, payload: 'x'.repeat(3_000_000) }],
    [500, { url: '/broken' }],
  ];
  // plugins/rate-limit may have been removed.
  if ('RATE_LIMIT_MAX' in app.config) requests.push([429, { url: '/mine' }]);
  for (const [status, request] of requests) {
    const answer = await app.inject({ headers, ...request });
    t.equal(answer.statusCode, status);
    t.equal(answer.headers['cache-control'], 'no-store', `${status}`);
  }
});
