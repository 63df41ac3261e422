import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import type { JWK } from 'jose';

export type Named = [name: string, token: string];

/** What an attacker has: tokens of others, the public keys, and a server with own keys. */
export interface Loot {
  /** A valid token that was signed with `key`. */
  valid: string;
  /** The private ES256 key of the issuer, to sign tokens that the issuer never would. */
  key: JWK;
  /** An RSA key of the issuer. Only its public part is used. */
  rsa: JWK;
  /** The URL of the attacker's keys. */
  url: string;
  attacker: KeyObject;
}

/** Signs the issuer's token again. */
export function signAgain({ valid, key }: Loot): string {
  const { header, claims } = decode(valid);
  return signToken(createPrivateKey({ key, format: 'jwk' }), header, claims);
}

export const encode = (value: object | string) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

export function decode(token: string) {
  const [header, claims] = token
    .split('.', 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));
  return { header, claims };
}

function signToken(key: KeyObject, header: object, payload: object | string): string {
  const input = `${encode(header)}.${encode(payload)}`;
  const signature = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

/** Signs with the right key, so that the mistake is the only reason to refuse. */
export function signByIssuer({ valid, key }: Loot): Named[] {
  const { header, claims } = decode(valid);
  const issuer = createPrivateKey({ key, format: 'jwk' });
  const wrongClaims = [
    { exp: 1 },
    { exp: undefined },
    { exp: `${claims.exp}` },
    { nbf: claims.exp },
    { nbf: '1' },
    { iat: '1' },
    { sub: undefined },
    { sub: '' },
    { sub: 7 },
    { sub: ['proof'] },
    { aud: 'other' },
    { aud: [] },
    { aud: { [claims.aud]: 1 } },
    { aud: undefined },
    { iss: `${claims.iss}/` },
    { iss: [claims.iss] },
    { iss: undefined },
  ];
  const wrongHeaders = [
    { typ: 'logout+jwt' },
    { typ: 7 },
    { kid: 7 },
    { kid: null },
    { kid: '../../etc/passwd' },
    { kid: "' or 1=1 --" },
    { kid: '__proto__' },
    { kid: 'a'.repeat(2_000) },
    { crit: ['exp'], exp: 1 },
    { crit: ['b64'], b64: false },
    { crit: ['b64'], b64: true },
    { crit: [] },
    ...['none', 'None', 'ES384', 'ES256K', 'RS256', 'RSA-OAEP', 'dir', '', 7, null].map((alg) => ({
      alg,
    })),
  ];
  const text = JSON.stringify(claims);
  const payloads = {
    'exp twice': `${text.slice(0, -1)},"exp":1}`,
    'aud twice': `${text.slice(0, -1)},"\\u0061ud":"other"}`,
    'exp too great': text.replace(/"exp":\d+/, '"exp":1e400'),
    'a token in it': valid,
    'a list': `[${text}]`,
    'no JSON': text.slice(1),
  };
  return [
    ...wrongClaims.map((change): Named => {
      const [[name, value] = []] = Object.entries(change);
      return [
        `${name} ${JSON.stringify(value)}`,
        signToken(issuer, header, { ...claims, ...change }),
      ];
    }),
    ...wrongHeaders.map(
      (change): Named => [
        JSON.stringify(change).slice(0, 40),
        signToken(issuer, { ...header, ...change }, claims),
      ],
    ),
    ...Object.entries(payloads).map(
      ([name, payload]): Named => [name, signToken(issuer, header, payload)],
    ),
  ];
}

/** Signs with a key that is in the header, or whose URL is. */
export function signByAttacker({ valid, url, attacker }: Loot): Named[] {
  const { header, claims } = decode(valid);
  const jwk = createPublicKey(attacker).export({ format: 'jwk' });
  const headers = [
    {},
    { kid: undefined },
    { kid: 'attacker' },
    { jwk },
    { kid: undefined, jwk },
    { kid: 'attacker', jku: `${url}/jwks` },
    { kid: 'attacker', x5u: `${url}/cert` },
    { x5c: [createPublicKey(attacker).export({ format: 'der', type: 'spki' }).toString('base64')] },
    { kid: `${url}/jwks` },
  ];
  return [
    ...headers.map(
      (change): Named => [
        `another key, ${JSON.stringify(change).slice(0, 40)}`,
        signToken(attacker, { ...header, ...change }, claims),
      ],
    ),
    ['its own iss', signToken(attacker, { ...header, kid: 'attacker' }, { ...claims, iss: url })],
  ];
}
