import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { JSONWebKeySet, JWK } from 'jose';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';
import { readConfig } from '../src/app.ts';
import { exitWith } from '../src/exit-with.ts';
import { createLogger } from '../src/logger.ts';
import { OperatorError } from '../src/operator-error.ts';

/* `npm run token [SUB] [SCOPE …]` prints a bearer token of the issuer `local:FOLDER`. */

if (import.meta.main)
  createToken(process.argv.slice(2))
    .then(console.log)
    .catch((error) => exitWith(error, createLogger()));

/** Throws an OperatorError if AUTH_ISSUER_URL is not `local:FOLDER`. */
export async function createToken(
  [id = 'developer', ...scopes]: string[],
  environment = process.env,
): Promise<string> {
  if (!id) throw new OperatorError('SUB is empty; expected the id of a user, or no argument');
  const { AUTH_ISSUER_URL: url, AUTH_AUDIENCE: audience } = await readConfig(environment);
  if (!audience || !url?.startsWith('local:'))
    throw new OperatorError(
      `AUTH_ISSUER_URL is ${url ?? 'not set'}; npm run token signs for local:FOLDER only, ` +
        'such as AUTH_ISSUER_URL=local:.data/issuer. Get tokens of another issuer from it.',
    );
  return signToken(url, audience, id, scopes);
}

/** The public key of the development issuer, from the folder of its URL, `local:FOLDER`. */
export async function fetchKeys(url: string): Promise<JSONWebKeySet> {
  const { d: _private, ...key } = await readKey(url);
  return { keys: [key] };
}

/** The token is valid for an hour. */
export async function signToken(
  url: string,
  aud: string,
  sub: string,
  scopes: string[],
): Promise<string> {
  const key = await readKey(url);
  return new SignJWT({ iss: url, aud, sub, scope: scopes.join(' ') })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: key.kid as string })
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(await importJWK(key, 'ES256'));
}

async function readKey(url: string): Promise<JWK> {
  const folder = url.slice('local:'.length);
  const file = path.join(folder, 'key.json');
  await mkdir(folder, { recursive: true });
  const text = await readFile(file, 'utf8').catch(() => createKey(file));
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message may have a part of the key.
    throw new OperatorError(`${file} is no key; delete it, and a new one is created`);
  }
}

/** The first process creates the key. A link is atomic, so that no process reads half a file. */
async function createKey(file: string): Promise<string> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const key = await exportJWK(privateKey);
  const draft = `${file}.${crypto.randomUUID()}`;
  await writeFile(draft, JSON.stringify({ ...key, kid: await calculateJwkThumbprint(key) }), {
    mode: 0o600,
  });
  await link(draft, file).catch(() => undefined);
  await rm(draft);
  return readFile(file, 'utf8');
}
