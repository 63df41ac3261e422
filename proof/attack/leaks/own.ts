import type { Leaks } from '../leaks.ts';

const KEYS = [
  'authorization',
  'proxy-authorization',
  'x-api-key',
  'apiKey',
  'access_token',
  'refreshToken',
  'client_secret',
  'clientSecret',
  'PGPASSWORD',
  'passwd',
  'pwd',
  'Cookie',
  'set-cookie',
  'sessionId',
  'privateKey',
  'private_key',
  'credentials',
  'x-hub-signature',
  'args',
  'parameters',
  'pass',
  'passphrase',
  'accessKeyId',
  'signing-key',
  'csrfToken',
  'jwt',
];

/** Values that a developer may log by mistake. */
export const ownLeaks: Leaks = {
  ...Object.fromEntries(KEYS.map((key) => [key, (secret: string) => ({ req: { [key]: secret } })])),
  'a deeply nested key': (secret) => ({ deep: [{ password: { value: [secret] } }] }),
  bytes: (secret) => ({ bytes: Buffer.from(secret) }),
  'an own header': (secret) => ({ headers: { 'x-mine': secret, host: 'a' } }),
  'raw headers': (secret) => ({ rawHeaders: ['authorization', secret] }),
  'a URL of a queue': (secret) => ({ url: `amqps://app:${secret}@queue/` }),
  'a field of a cause': (secret) =>
    new Error('outer', { cause: Object.assign(new Error('inner'), { config: secret }) }),
  'a field of an AggregateError': (secret) =>
    new AggregateError([Object.assign(new Error('one'), { request: { secret } })]),
  'options of an error': (secret) =>
    Object.assign(new Error('failed'), { code: 'E_FAILED', options: { auth: secret } }),
  'a password with / ? # in a URL': (secret) =>
    `No answer from postgres://app:${secret}/?#@db/app now`,
  'a URL with a password alone': (secret) => `No answer from rediss://:${secret}@cache:6380`,
  'a query in a text': (secret) => `GET /notes?password=${secret} failed`,
  'a code in a URL': (secret) => `Redirect to https://app.example/cb?code=${secret}`,
  'a fragment of a URL': (secret) => `Redirect to https://app.example/cb#access_token=${secret}`,
  'Authorization in a text': (secret) => `Authorization: Bearer ${secret}`,
  'Basic in a text': (secret) =>
    `Proxy-Authorization: Basic ${Buffer.from(`app:${secret}`).toString('base64')}`,
  'another scheme in a text': (secret) =>
    `Authorization: Digest username="a", response="${secret}"`,
  'a cookie in a text': (secret) => `Cookie: theme=dark; sid=${secret}`,
  'a token without a name': (secret) =>
    `It was sent eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.${secret}`,
  'a private key in a text': (secret) => `-----BEGIN PRIVATE KEY-----\n${secret}\n-----END`,
  'a session in a text': (secret) => `session_id=${secret} has ended`,
  'a short name in a text': (secret) => `{"user":"app","pass":"${secret}"}`,
  'a quote in JSON': (secret) => `{"password":"a \\" ${secret}"}`,
  'JSON in JSON': (secret) => `{\\"token\\":\\"${secret}\\"}`,
  'a header for curl': (secret) => `curl -H "X-Api-Key: ${secret}"`,
  'Bearer in a text': (secret) => `It was sent Bearer ${secret} and refused it`,
  'a variable in a text': (secret) => `PGPASSWORD=${secret} pg_dump`,
  'JSON in a text': (secret) => `The answer was {"client_secret":"${secret}","id":1}`,
  'an object in a text': (secret) => `{ password: '${secret} and more', id: 1 }`,
};
