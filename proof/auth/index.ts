// Authentication: tokens of a real issuer (oidc-provider), and at least 40 bad ones
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { get } from 'node:http';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningApp, runApp, startApp } from '../app.ts';
import type { Tally } from '../tally.ts';
import { proveBadTokens } from './bad-tokens.ts';
import { buildWithRoutes } from './build.ts';
import { proveChain } from './chain.ts';
import { measureCosts } from './costs.ts';
import { proveFlood } from './flood.ts';
import { ALGORITHMS, AUDIENCE, RealIssuer } from './issuer.ts';
import { provePage } from './page.ts';
import { ask, type Challenge } from './request.ts';
import { proveRotation } from './rotation.ts';
import { startUntrusted } from './untrusted.ts';

const NONE: Challenge = [401, 'UNAUTHENTICATED', 'Bearer'];
const INVALID: Challenge = [401, 'INVALID_TOKEN', 'Bearer error="invalid_token"'];
const SCOPE = 'Bearer error="insufficient_scope", scope="notes:write"';

export async function prove(tally: Tally): Promise<void> {
  await using issuer = await RealIssuer.create();
  const folder = await buildWithRoutes();
  const environment = { AUTH_ISSUER_URL: issuer.url, AUTH_AUDIENCE: AUDIENCE, LOG_LEVEL: 'debug' };
  const start = (change: Record<string, string> = {}) =>
    startApp({ folder, environment: { ...environment, ...change } });
  await using app = await start({ RATE_LIMIT_MAX: '0' });
  const token = await issuer.ask('RS256');
  for (const alg of ALGORITHMS)
    await tally.check(`A token signed with ${alg} identifies the caller`, async () => {
      const answer = await ask(app, '/me', `Bearer ${await issuer.ask(alg, 'notes:read')}`);
      assert.deepEqual(answer.body, { id: 'proof', scopes: ['notes:read'] });
    });
  await tally.check('A request without a token, or with another scheme, answers 401', async () => {
    for (const authorization of [undefined, '', 'Basic YTpi', `Token ${token}`])
      assert.deepEqual((await ask(app, '/me', authorization)).challenge, NONE);
  });
  await tally.check('Routes without config.auth answer without a token', async () => {
    for (const path of ['/', '/health/live', '/health/ready', '/docs', '/openapi.json', '/notes'])
      assert.equal((await fetch(app.url + path)).status, 200, path);
  });
  await tally.check(
    'A route with an optional token knows the caller, and refuses bad tokens',
    async () => {
      const askFeed = (authorization?: string) => ask(app, '/proof/feed', authorization);
      assert.deepEqual((await askFeed()).body, { of: 'everybody' });
      assert.deepEqual((await askFeed(`Bearer ${token}`)).body, { of: 'proof' });
      assert.deepEqual((await askFeed(`Bearer ${token}a`)).challenge, INVALID);
    },
  );
  await tally.check('A token without the scope answers 403, one with it 200', async () => {
    for (const scope of ['', 'notes:read']) {
      const authorization = `Bearer ${await issuer.ask('ES256', scope)}`;
      const { challenge } = await ask(app, '/proof/scoped', authorization);
      assert.deepEqual(challenge, [403, 'INSUFFICIENT_SCOPE', SCOPE]);
    }
    const authorization = `Bearer ${await issuer.ask('ES256', 'notes:read notes:write')}`;
    assert.equal((await ask(app, '/proof/scoped', authorization)).challenge[0], 200);
  });
  await tally.check('Each bad token answers 401', () => proveBadTokens(app, issuer, INVALID));
  await tally.check("A flood of unknown keys requests the issuer's keys once in 30 s at most", () =>
    proveFlood(app, issuer),
  );
  await tally.check('Two Authorization headers answer 401', async () =>
    assert.equal(await askTwice(app, `Bearer ${token}`), 401),
  );
  await tally.check('A token of 64 KiB answers 431', async () =>
    assert.equal((await ask(app, '/me', `Bearer ${'a'.repeat(65_536)}`)).challenge[0], 431),
  );
  await tally.check('The time to check a token is measured', () => measureCosts(issuer));
  await tally.check('GET /docs takes a token and sends it', () => provePage(app, token));
  await tally.check('The token goes to a backing app only if a route passes it on', () =>
    proveChain(start, token),
  );
  await tally.check('A key rotation causes no wrong answer', () => proveRotation(app, issuer));
  const away: Challenge = [503, 'AUTH_UNAVAILABLE', null];
  await tally.check('An issuer with an untrusted certificate counts as down', async () => {
    const { url, server } = await startUntrusted();
    await using careful = await start({ AUTH_ISSUER_URL: url });
    assert.deepEqual((await ask(careful, '/me', `Bearer ${token}`)).challenge, away);
    server.closeAllConnections();
    server.close();
  });
  await tally.check('While the issuer is down, known keys work', async () => {
    await issuer[Symbol.asyncDispose]();
    assert.equal((await ask(app, '/me', `Bearer ${token}`)).challenge[0], 200);
    await using other = await start();
    const { challenge, retryAfter } = await ask(other, '/me', `Bearer ${token}`);
    assert.deepEqual(challenge, away);
    assert.match(`${retryAfter}`, /^\d+$/);
    await issuer.start();
    const authorization = `Bearer ${await issuer.ask('ES256')}`;
    for (const started of [app, other]) await waitForOk(started, authorization);
  });
  await tally.check('Without an issuer, a protected route answers 503', async () => {
    await using closed = await startApp({ folder });
    const { challenge } = await ask(closed, '/me', `Bearer ${token}`);
    assert.deepEqual(challenge, [503, 'AUTH_NOT_ATTACHED', null]);
  });
  await tally.check(
    'Without plugins/auth, a protected route keeps the app from starting',
    async () => {
      await rm(path.join(folder, 'dist/plugins/auth'), { recursive: true });
      const { ended, lines } = runApp('web', { DATABASE_URL: 'pglite:memory' }, [], folder);
      assert.equal((await ended).code, 1);
      assert.match(lines.join('\n'), /GET \/me needs a bearer token, but plugins\/auth is missing/);
    },
  );
  await tally.check('No log line contains the token', () => {
    assert(!app.process.lines.some((line) => line.includes(token)));
  });
}

/** The issuer is asked again within 2 s of a failure. */
async function waitForOk(app: RunningApp, authorization: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const [status] = (await ask(app, '/me', authorization)).challenge;
    if (status === 200) return;
    assert.equal(status, 503);
    assert(performance.now() < deadline, 'the issuer is back, but is not asked');
    await sleep(100);
  }
}

/** fetch() would join two headers into one. */
function askTwice(app: RunningApp, authorization: string): Promise<number | undefined> {
  const headers = { authorization: [authorization, authorization] as unknown as string };
  return new Promise((resolve, reject) => {
    get(`${app.url}/me`, { headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).once('error', reject);
  });
}
