import { createHmac, randomBytes } from 'node:crypto';

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** Tokens of no worth, each made of a valid one, by what is wrong with it. */
export function makeBadTokens(valid: string): [string, string][] {
  const [header = '', payload = '', signature = ''] = valid.split('.');
  const fields = JSON.parse(Buffer.from(header, 'base64url').toString());
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  const withHeader = (change: object) =>
    `${encode({ ...fields, ...change })}.${payload}.${signature}`;
  const withClaims = (change: object) =>
    `${header}.${encode({ ...claims, ...change })}.${signature}`;
  const algorithms = [
    'none',
    'None',
    'HS256',
    'HS512',
    'RS1',
    'ES256K',
    'RSA-OAEP',
    'dir',
    '',
    7,
    null,
  ];
  const kids = ['../../etc/passwd', "' or 1=1 --", '', 7, null, '__proto__', 'a'.repeat(2_000)];
  const extras = [
    { jwk: { kty: 'oct', k: 'AA' } },
    { jku: 'http://127.0.0.1:1/keys' },
    { x5u: 'http://127.0.0.1:1/cert' },
    { x5c: ['AA'] },
    { crit: ['exp'] },
    { crit: ['b64'], b64: false },
    { typ: 'logout+jwt' },
    { cty: 'JWT' },
    { zip: 'DEF' },
  ];
  const changes = [
    { exp: 9e9 },
    { exp: '9e9' },
    { sub: 'root' },
    { sub: 1 },
    { aud: [] },
    { iss: [] },
  ];
  const hmacInput = `${encode({ alg: 'HS256', typ: 'JWT' })}.${payload}`;
  const hmac = createHmac('sha256', 'public key').update(hmacInput).digest('base64url');
  const text = `{"sub":"root",${JSON.stringify(claims).slice(1)}`;
  return [
    ...algorithms.map((alg): [string, string] => [`alg ${alg}`, withHeader({ alg })]),
    ...algorithms
      .slice(0, 2)
      .map((alg): [string, string] => [`alg ${alg}, unsigned`, `${encode({ alg })}.${payload}.`]),
    ...kids.map((kid): [string, string] => [`kid ${`${kid}`.slice(0, 20)}`, withHeader({ kid })]),
    ...extras.map((extra): [string, string] => [JSON.stringify(extra), withHeader(extra)]),
    ...changes.map((change): [string, string] => [JSON.stringify(change), withClaims(change)]),
    ['HMAC', `${hmacInput}.${hmac}`],
    ['duplicate claims', `${header}.${encode(text)}.${signature}`],
    ['nested', `${header}.${encode(valid)}.${signature}`],
    ['encrypted', `${encode({ alg: 'dir', enc: 'A256GCM' })}..AA.AA.AA`],
    ['unsigned', `${header}.${payload}`],
    ['trailing dot', `${valid}.`],
    ['no signature', `${header}.${payload}.`],
    ['whitespace', `${header} .${payload}.${signature}`],
    ['two tokens', `${valid} ${valid}`],
    ['a list', `${valid},${valid}`],
    ['no JSON', `${encode('{')}.${payload}.${signature}`],
    ['noise', randomBytes(300).toString('base64url')],
    ['12 KiB', `${header}.${payload}.${'A'.repeat(12 * 1024)}`],
    ['empty parts', '..'],
    ['nothing', ''],
  ];
}
