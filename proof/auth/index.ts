// Who is calling: tokens of a real issuer (oidc-provider), and at least 40 bad ones
import assert from 'node:assert/strict';
import { type RunningApp, startApp } from '../app.ts';
import type { Tally } from '../tally.ts';
import { makeBadTokens } from './bad-tokens.ts';
import { ALGORITHMS, AUDIENCE, RealIssuer } from './issuer.ts';
import { provePage } from './page.ts';
import { proveRotation } from './rotation.ts';
import { startUntrusted } from './untrusted.ts';

export async function prove(tally: Tally): Promise<void> {
  await using issuer = await RealIssuer.create();
  const environment = { AUTH_ISSUER_URL: issuer.url, AUTH_AUDIENCE: AUDIENCE, LOG_LEVEL: 'debug' };
  await using app = await startApp({ environment: { ...environment, RATE_LIMIT_MAX: '0' } });
  const token = await issuer.ask('RS256');
  for (const alg of ALGORITHMS)
    await tally.check(`A token signed with ${alg} says who is calling`, async () => {
      const answer = await ask(app, await issuer.ask(alg, 'notes:read'));
      assert.deepEqual(answer, [200, { id: 'proof', scopes: ['notes:read'] }]);
    });
  await tally.check('Bad tokens are 401, each of them', () => proveBadTokens(app, token));
  await tally.check('A token of 64 KiB is refused', async () => {
    const headers = { authorization: `Bearer ${'a'.repeat(65_536)}` };
    assert.equal((await fetch(`${app.url}/me`, { headers })).status, 431);
  });
  await tally.check('The page of the API takes a token and sends it', () => provePage(app, token));
  await tally.check('Another key is taken without one wrong answer', () =>
    proveRotation(app, issuer),
  );
  await tally.check('An issuer whose certificate nobody vouches for is away', async () => {
    const { url, server } = await startUntrusted();
    await using careful = await startApp({ environment: { ...environment, AUTH_ISSUER_URL: url } });
    assert.deepEqual(await askCode(careful, token), [503, 'AUTH_UNAVAILABLE']);
    server.closeAllConnections();
    server.close();
  });
  await tally.check('While the issuer is away, keys that are known go on working', async () => {
    await issuer[Symbol.asyncDispose]();
    assert.equal((await ask(app, token))[0], 200);
    await using other = await startApp({ environment });
    assert.deepEqual(await askCode(other, token), [503, 'AUTH_UNAVAILABLE']);
    await issuer.start();
    assert.equal((await ask(app, await issuer.ask('ES256')))[0], 200);
  });
  await tally.check('Without an issuer a protected route is closed', async () => {
    await using closed = await startApp();
    assert.deepEqual(await askCode(closed, token), [503, 'AUTH_NOT_ATTACHED']);
  });
  await tally.check('No line of the log has the token', () => {
    assert(!app.process.lines.some((line) => line.includes(token)));
  });
}

async function proveBadTokens(app: RunningApp, token: string): Promise<string> {
  const tokens = makeBadTokens(token);
  for (const [name, value] of tokens)
    assert.deepEqual(await askCode(app, value), [401, 'INVALID_TOKEN'], name);
  assert(tokens.length >= 40);
  return `${tokens.length} tokens`;
}

async function askCode(app: RunningApp, token: string): Promise<[number, unknown]> {
  const [status, body] = await ask(app, token);
  return [status, body.code];
}

async function ask(app: RunningApp, token: string): Promise<[number, Record<string, unknown>]> {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(`${app.url}/me`, { headers });
  return [answer.status, (await answer.json()) as Record<string, unknown>];
}
