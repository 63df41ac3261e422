import type { JSONWebKeySet } from 'jose';
import { readJson } from '../../src/json-limits.ts';

const TIMEOUT_MS = 2_000;
const MAX_BYTES = 512 * 1024;

/** Fetches the keys of an issuer by OpenID Connect Discovery 1.0. Throws if an answer is wrong. */
export async function fetchKeys(url: string): Promise<JSONWebKeySet> {
  const place = `${url.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const { issuer, jwks_uri: keys } = await fetchJson(place);
  if (typeof issuer !== 'string') throw new Error(`${place} names no issuer`);
  if (issuer !== url)
    throw new Error(`${place} names the issuer "${issuer}": set AUTH_ISSUER_URL to it`);
  if (typeof keys !== 'string' || !isSafe(keys, url))
    throw new Error(`${place} has no https: URL as jwks_uri`);
  const keySet = await fetchJson(keys);
  if (!Array.isArray(keySet.keys)) throw new Error(`${keys} is no key set`);
  return keySet as unknown as JSONWebKeySet;
}

/** Plain HTTP is safe only on this machine. */
function isSafe(keys: string, url: string): boolean {
  const { protocol, hostname } = URL.parse(keys) ?? {};
  const isLocal = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(`${hostname}`);
  return protocol === 'https:' || (protocol === 'http:' && isLocal && url.startsWith('http:'));
}

async function fetchJson(url: string): Promise<Record<string, unknown>> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const { status, body } = await fetch(url, { redirect: 'error', signal });
    if (status === 200 && body) return Object(await readJson('Its body', body, MAX_BYTES));
    await body?.cancel();
    throw new Error(`Its status is ${status}`);
  } catch (cause) {
    throw new Error(`${url} has no answer that can be used`, { cause });
  }
}
