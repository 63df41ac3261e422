import assert from 'node:assert/strict';
import type { RunningApp } from '../app.ts';

/** The status, the code of the error, and WWW-Authenticate. */
export type Challenge = [status: number, code: unknown, header: string | null];

/** Requests a protected route, and checks the headers that each answer has. */
export async function ask(app: RunningApp, path: string, authorization?: string) {
  const headers = authorization === undefined ? {} : { authorization };
  const answer = await fetch(app.url + path, { headers });
  const body = (await answer.json()) as Record<string, unknown>;
  const has = (name: string) => answer.headers.get(name);
  if (answer.status !== 431) assert.equal(has('cache-control'), 'no-store');
  assert.match(`${has('content-type')}`, /^application\/json/);
  assert.equal(has('x-content-type-options'), 'nosniff');
  assert.match(`${has('x-request-id')}`, /^[\w-]{36}$/);
  const challenge: Challenge = [answer.status, body.code, has('www-authenticate')];
  return { challenge, body, id: has('x-request-id'), retryAfter: has('retry-after') };
}
