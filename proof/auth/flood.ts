import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { RunningApp } from '../app.ts';
import type { RealIssuer } from './issuer.ts';
import { ask } from './request.ts';

/** The number of tokens, and how many are sent at once. */
const TOKENS = 1_000;
const CLIENTS = 20;

/** The minimum time between two requests to the issuer, in milliseconds. */
const PAUSE_MS = 30_000;

/** Sends tokens with unknown keys, and some without `kid`. */
export async function proveFlood(app: RunningApp, issuer: RealIssuer): Promise<string> {
  const [, claims, signature] = (await issuer.ask('ES256')).split('.');
  const makeToken = (count: number) => {
    const kid = count % 5 === 0 ? undefined : randomUUID();
    const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid })).toString('base64url');
    return [header, claims, signature].join('.');
  };
  const asked = issuer.asked;
  const startedAt = performance.now();
  let count = 0;
  const send = async () => {
    while (count < TOKENS) {
      const { challenge } = await ask(app, '/me', `Bearer ${makeToken(count++)}`);
      assert.equal(challenge[1], 'INVALID_TOKEN');
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, send));
  const times = issuer.asked - asked;
  assert(times <= 1 + (performance.now() - startedAt) / PAUSE_MS, `asked ${times} times`);
  return `${TOKENS} tokens, asked ${times} times`;
}
