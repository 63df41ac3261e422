import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeProtectedHeader } from 'jose';
import type { RunningApp } from '../app.ts';
import { createKey, type RealIssuer } from './issuer.ts';

/** How long a key is published before its first use, in milliseconds. docs/auth.md says why. */
const NOTICE_MS = 30_500;

/** Rotates the issuer's key during requests. All of them have to be answered. */
export async function proveRotation(app: RunningApp, issuer: RealIssuer): Promise<string> {
  const next = await createKey('ES256', 'next');
  const load = new AbortController();
  const counts = ask(app, issuer, load.signal);
  issuer.publish((keys) => [...keys, next]);
  await sleep(NOTICE_MS);
  issuer.publish((keys) => [next, ...keys.slice(0, -1)]);
  await sleep(2_000);
  issuer.publish((keys) => keys.filter(({ kid }) => kid !== 'key-ES256'));
  await sleep(2_000);
  load.abort();
  const found = await counts;
  assert.deepEqual(Object.keys(found).sort(), ['key-ES256 200', 'next 200']);
  return Object.entries(found).join('; ');
}

/** @returns the number of answers by the token's key and the status */
async function ask(app: RunningApp, issuer: RealIssuer, signal: AbortSignal) {
  const counts: Record<string, number> = {};
  while (!signal.aborted) {
    const token = await issuer.ask('ES256');
    const headers = { authorization: `Bearer ${token}` };
    const { status, body } = await fetch(`${app.url}/me`, { headers });
    await body?.cancel();
    const name = `${decodeProtectedHeader(token).kid} ${status}`;
    counts[name] = (counts[name] ?? 0) + 1;
    await sleep(20);
  }
  return counts;
}
