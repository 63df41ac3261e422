import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { type Test, test } from 'tap';
import { buildTestApp, DOWN } from '../../helper.ts';
import { signIn, startIssuer } from './test-issuer.ts';

async function build(t: Test) {
  const issuer = await startIssuer(t);
  const app = await buildTestApp(t, { DATABASE_URL: DOWN, ...issuer.environment });
  const ask = async (token: string) => (await signIn(app, token).inject('/me')).statusCode;
  return { issuer, ask };
}

/** Published fields that do not fit the key of a token. */
const UNFIT: Record<string, object> = {
  'is for encryption': { use: 'enc' },
  'is for another operation': { key_ops: ['deriveBits'] },
  'is for another algorithm': { alg: 'ES384' },
  'is of another curve': { crv: 'P-384' },
  'is of an unknown type': { kty: 'QKD' },
  'is incomplete': { x: undefined },
  'is private': { d: randomBytes(32).toString('base64url') },
};

test('A token signed with a key for another use answers 401', async (t) => {
  const { issuer, ask } = await build(t);
  for (const [kid, change] of Object.entries(UNFIT)) await issuer.addKey('ES256', kid, change);
  for (const kid of Object.keys(UNFIT))
    t.equal(await ask(await issuer.sign({}, { kid })), 401, kid);
  t.equal(await ask(await issuer.sign()), 200);
});

test('A token signed with a published 1024-bit or symmetric key answers 401', async (t) => {
  const { issuer, ask } = await build(t);
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const secret = randomBytes(32);
  issuer.published.push(
    { ...weak.publicKey.export({ format: 'jwk' }), kid: 'weak' },
    { kty: 'oct', k: secret.toString('base64url'), kid: 'secret' },
  );
  const [, payload] = (await issuer.sign()).split('.');
  const write = (header: object) =>
    `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${payload}`;
  const rsa = write({ alg: 'RS256', kid: 'weak' });
  const hmac = write({ alg: 'HS256', kid: 'secret' });
  const signatures = {
    [rsa]: sign('sha256', Buffer.from(rsa), weak.privateKey),
    [hmac]: createHmac('sha256', secret).update(hmac).digest(),
  };
  for (const [text, signature] of Object.entries(signatures))
    t.equal(await ask(`${text}.${signature.toString('base64url')}`), 401);
});

test('Two keys with the same kid are both tried', async (t) => {
  const { issuer, ask } = await build(t);
  const token = await issuer.sign();
  await issuer.addKey('ES256', 'ES256');
  t.equal(await ask(token), 200);
  t.equal(await ask(await issuer.sign()), 200);
});

test('Among hundreds of keys, a kid finds its key; without a kid ten are tried', async (t) => {
  const { issuer, ask } = await build(t);
  for (let count = 1; count < 300; count++) await issuer.addKey('ES256', `${count}`);
  t.equal(await ask(await issuer.sign({}, { kid: '299' })), 200);
  t.equal(await ask(await issuer.signWithout('9')), 200);
  t.equal(await ask(await issuer.signWithout('10')), 401);
  t.equal(
    await ask(await issuer.signWithout('9', { exp: 1 })),
    401,
    'its key is found, but it has expired',
  );
});
