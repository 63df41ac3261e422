import type { JWTPayload, JWTVerifyGetKey, JWTVerifyOptions } from 'jose';
import { decodeProtectedHeader, errors, jwtVerify } from 'jose';
import { isStorable } from '../validation/schemas.ts';
import type { Keys } from './keys.ts';

/** Only asymmetric signatures (RFC 8725, 3.1). Ed25519 is the newer name of EdDSA. */
const ALGORITHMS = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519'.split(' ');

/** The accepted values of a token's header `typ` (RFC 9068, 2.1), which is optional. */
const TYPES = ['jwt', 'at+jwt', 'application/jwt', 'application/at+jwt'];

const CLOCK_SKEW_S = 5;

/** How many keys are tried for a token that names no key. Each takes a third of a millisecond. */
const MAX_TRIES = 10;

export interface User {
  /** The claim `sub`: unique at the issuer, and never given to another user. */
  id: string;
  scopes: string[];
  claims: JWTPayload;
}

/** Rejects with an error that says why the token is not valid, or with the error of `keys`. */
export async function verifyToken(
  token: string,
  keys: Keys,
  expected: { issuer: string; audience: string },
): Promise<User> {
  const limits = { algorithms: ALGORITHMS, clockTolerance: CLOCK_SKEW_S, requiredClaims: ['exp'] };
  const options = { ...expected, ...limits };
  const { payload, protectedHeader } = await keys.try((find) =>
    verifyByAny(token, find, options).catch(blameKey),
  );
  const { typ = 'JWT', kid = '', crit } = protectedHeader;
  const { sub, exp } = payload;
  const isText = typeof typ === 'string' && typeof kid === 'string';
  if (!isText || !TYPES.includes(typ.toLowerCase()) || crit || !isCanonical(token))
    throw new errors.JWSInvalid('typ, kid, crit or the form of the signature is not accepted');
  // The database would take several ids that it cannot store for one.
  const isId = typeof sub === 'string' && sub !== '' && isStorable(sub);
  if (!isId || !Number.isFinite(exp))
    throw new errors.JWTClaimValidationFailed('missing or not valid', payload, 'sub or exp');
  return { id: sub, scopes: readScopes(payload), claims: payload };
}

/** jose accepts spaces, padding and spare bits in a signature, which no issuer writes. */
function isCanonical(token: string): boolean {
  const signature = token.slice(token.lastIndexOf('.') + 1);
  return Buffer.from(signature, 'base64url').toString('base64url') === signature;
}

/** A token that names no key may be signed by any known key, or by one that is not fetched yet. */
async function verifyByAny(token: string, find: JWTVerifyGetKey, options: JWTVerifyOptions) {
  try {
    return await jwtVerify(token, find, options);
  } catch (error) {
    if (error instanceof errors.JWKSMultipleMatchingKeys) {
      let tries = 0;
      for await (const key of error) {
        const result = await jwtVerify(token, key, options).catch((failure) => {
          // An error about a claim means that this key is the right one: do not try others.
          if (failure.claim) throw failure;
        });
        if (result) return result;
        if (++tries === MAX_TRIES) break;
      }
    } else if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    throw decodeProtectedHeader(token).kid === undefined ? new errors.JWKSNoMatchingKey() : error;
  }
}

/** A key that is broken counts as unknown: the issuer may have published it again since. */
function blameKey(error: Error): never {
  if (error instanceof errors.JOSEError) throw error;
  throw new errors.JWKSNoMatchingKey(`The key cannot be used: ${error.message}`);
}

/** The claim is `scope` in RFC 9068, `scp` at Entra and Okta, `permissions` at Auth0. */
function readScopes({ scope, scp, permissions }: JWTPayload): string[] {
  const lists = [scope, scp].map((value) => (typeof value === 'string' ? value.split(' ') : []));
  // IdentityServer writes `scope` as a list.
  for (const value of [scope, scp, permissions]) if (Array.isArray(value)) lists.push(value);
  return [...new Set(lists.flat())].filter((name) => typeof name === 'string' && name !== '');
}
