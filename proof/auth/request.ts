import assert from 'node:assert/strict';
import type { RunningApp } from '../app.ts';

/** The status, the code of the error, and WWW-Authenticate. */
export type Challenge = [status: number, code: unknown, header: string | null];

/** Asks for a route that demands a token: no answer of it may be stored, where it is one of the app. */
export async function ask(app: RunningApp, path: string, authorization?: string) {
  const headers = authorization === undefined ? {} : { authorization };
  const answer = await fetch(app.url + path, { headers });
  const body = (await answer.json()) as Record<string, unknown>;
  if (answer.status !== 431) assert.equal(answer.headers.get('cache-control'), 'no-store');
  const challenge: Challenge = [answer.status, body.code, answer.headers.get('www-authenticate')];
  const [id, retryAfter] = ['x-request-id', 'retry-after'].map((name) => answer.headers.get(name));
  return { challenge, body, id, retryAfter };
}
