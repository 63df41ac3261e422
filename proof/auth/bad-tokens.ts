import assert from 'node:assert/strict';
import { createHmac, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CompactEncrypt } from 'jose';
import type { RunningApp } from '../app.ts';
import type { RealIssuer } from './issuer.ts';
import { ask, type Challenge } from './request.ts';
import {
  decode,
  encode,
  type Loot,
  type Named,
  signAgain,
  signByAttacker,
  signByIssuer,
} from './signed-tokens.ts';

/** Each token gets the same answer, and no URL of an attacker's key is requested. */
export async function proveBadTokens(
  app: RunningApp,
  issuer: RealIssuer,
  expected: Challenge,
): Promise<string> {
  const visits: unknown[] = [];
  const server = createServer((request) => visits.push(request.url)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const loot = {
    valid: await issuer.ask('ES256'),
    key: issuer.findKey('ES256'),
    rsa: issuer.findKey('RS256'),
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    attacker: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  };
  // A token signed again without a change has to pass, or the others would prove nothing.
  assert.equal((await ask(app, '/me', `Bearer ${signAgain(loot)}`)).challenge[0], 200);
  const tokens = [
    ...signByIssuer(loot),
    ...signByAttacker(loot),
    ...signWithPublicKey(loot),
    ...writeByHand(loot.valid),
    ...(await encrypt(loot)),
  ];
  for (const [name, token] of tokens)
    assert.deepEqual((await ask(app, '/me', `Bearer ${token}`)).challenge, expected, name);
  server.close();
  assert.deepEqual(visits, []);
  assert(tokens.length >= 40);
  const log = app.process.lines.join('\n');
  for (const [name, token] of tokens) assert(token.length < 40 || !log.includes(token), name);
  return `${tokens.length} tokens`;
}

/** HMAC with public values as the secret. */
function signWithPublicKey({ valid, rsa }: Loot): Named[] {
  const { claims } = decode(valid);
  const key = createPublicKey({ key: rsa, format: 'jwk' });
  const { n, e, kty, kid } = rsa;
  const secrets = {
    PEM: key.export({ format: 'pem', type: 'spki' }),
    'PEM of PKCS 1': key.export({ format: 'pem', type: 'pkcs1' }),
    DER: key.export({ format: 'der', type: 'spki' }),
    JWK: JSON.stringify({ kty, n, e }),
    modulus: Buffer.from(`${n}`, 'base64url'),
    nothing: '',
  };
  return Object.entries(secrets).flatMap(([name, secret]) =>
    [256, 384, 512].map((bits): Named => {
      const input = `${encode({ alg: `HS${bits}`, kid })}.${encode(claims)}`;
      const signature = createHmac(`sha${bits}`, secret).update(input).digest('base64url');
      return [`HS${bits} with the ${name}`, `${input}.${signature}`];
    }),
  );
}

function writeByHand(valid: string): Named[] {
  const [header = '', payload = '', signature = ''] = valid.split('.');
  const unsigned = ['none', 'None', 'NONE', 'nOnE'].flatMap((alg): Named[] => [
    [`alg ${alg} with a dot`, `${encode({ alg })}.${payload}.`],
    [`alg ${alg}, signed`, `${encode({ alg })}.${payload}.${signature}`],
  ]);
  return [
    ...unsigned,
    ['unsigned', `${header}.${payload}`],
    ['no signature', `${header}.${payload}.`],
    ['detached', `${header}..${signature}`],
    ['zeros', `${header}.${payload}.${Buffer.alloc(64).toString('base64url')}`],
    ['half a signature', valid.slice(0, -43)],
    [
      'another payload',
      `${header}.${encode({ ...decode(valid).claims, sub: 'root' })}.${signature}`,
    ],
    ['trailing dot', `${valid}.`],
    ['padding', `${valid}==`],
    ['whitespace', `${header} .${payload}.${signature}`],
    ['two tokens', `${valid} ${valid}`],
    ['a list', `${valid},${valid}`],
    ['quotes', `"${valid}"`],
    ['JSON', JSON.stringify({ protected: header, payload, signature })],
    ['noise', randomBytes(300).toString('base64url')],
    ['12 KiB', `${header}.${payload}.${'A'.repeat(12 * 1024)}`],
    ['empty parts', '..'],
    ['nothing', ''],
  ];
}

/** Encrypts the claims alone, and a whole token, for the issuer. */
async function encrypt({ valid, rsa }: Loot): Promise<Named[]> {
  const key = createPublicKey({ key: rsa, format: 'jwk' });
  const encrypt = (text: string, header: object) =>
    new CompactEncrypt(Buffer.from(text))
      .setProtectedHeader({ alg: 'RSA-OAEP-256', enc: 'A256GCM', ...header })
      .encrypt(key);
  return [
    ['encrypted', await encrypt(JSON.stringify(decode(valid).claims), { kid: rsa.kid })],
    ['encrypted token', await encrypt(valid, { cty: 'JWT' })],
  ];
}
