import assert from 'node:assert/strict';
import type { Answer } from '../answer.ts';
import { get, type HostileRequest, post, request } from '../request.ts';

const REQUEST_ID = /^[A-Za-z0-9+/=_.:-]{1,200}$/;

/** A malformed request has no id. */
function verifyId({ status, headers }: Answer): void {
  if (status === 200) assert.match(headers.get('x-request-id') ?? '', REQUEST_ID);
}

/** Header fields that the app reads, with values that it must not trust or repeat. */
const harmless: [string, string[]][] = [
  ['a request id that closes a JSON string', ['X-Request-ID: "}{"level":60,"msg":"injected"}']],
  ['a request id with escaped line ends', ['X-Request-ID: a%0d%0aSet-Cookie:%20injected=1']],
  ['a request id of 201 characters', [`X-Request-ID: ${'injected'.repeat(26).slice(0, 201)}`]],
  ['a request id of 10,000 characters', [`X-Request-ID: ${'injected'.repeat(1_250)}`]],
  ['a request id beyond ASCII', ['X-Request-ID: injected\xff\xfe']],
  ['an empty request id', ['X-Request-ID: ']],
  ['two request ids', ['X-Request-ID: injected1', 'X-Request-ID: injected2']],
  ['a request id with a terminal escape', ['X-Request-ID: \x7finjected[31m']],
  ['an invalid forwarded address', ['X-Forwarded-For: injected']],
  ['a forwarded address that closes a JSON string', ['X-Forwarded-For: "},{"injected":"1.2.3.4']],
  ['a forwarded address before a proxy', ['X-Forwarded-For: <injected>, 10.0.0.1']],
  ['1,000 forwarded addresses', [`X-Forwarded-For: ${'10.0.0.1,'.repeat(1_000)}injected`]],
  ['commas as forwarded addresses', [`X-Forwarded-For: ${','.repeat(5_000)}`]],
  ['an address with a port and a zone', ['X-Forwarded-For: [fe80::1%injected]:80']],
  ['a forwarded host that is a script', ['X-Forwarded-Host: "><script>injected</script>']],
  ['a forwarded scheme that is a script', ['X-Forwarded-Proto: javascript:injected']],
  ['an invalid forwarded port', ['X-Forwarded-Port: injected', 'X-Forwarded-Prefix: /injected']],
  ['a standard forwarded header', ['Forwarded: for="injected";host=injected;proto=injected']],
  ['an invalid origin', ['Origin: "><script>injected</script>']],
  ['a cookie and an authorization', ['Cookie: injected=1', 'Authorization: Bearer injected']],
  ['__proto__ as a header', ['__proto__: injected', 'constructor: injected']],
  ['a method override', ['X-HTTP-Method-Override: DELETE', 'X-Method-Override: injected']],
  ['a URL override', ['X-Original-URL: /injected', 'X-Rewrite-URL: /injected']],
  [
    'a Referer and a User-Agent that are scripts',
    ['Referer: javascript:injected', 'User-Agent: () { injected; }'],
  ],
  ['ranges', [`Range: bytes=${'0-1,'.repeat(1_000)}0-injected`]],
  ['a malformed If-None-Match', ['If-None-Match: "injected', 'If-Modified-Since: injected']],
  [
    'a switch to WebSocket',
    ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: injected'],
  ],
  [
    'a switch to HTTP/2',
    ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: injected'],
  ],
  [
    'a Connection header that names other headers',
    ['Connection: close, X-Request-ID, Host, Content-Length'],
  ],
];

const host = (...fields: string[]) =>
  Buffer.from(['GET /health/ready HTTP/1.1', ...fields, '', ''].join('\r\n'), 'latin1');

/** Hostile headers. */
export const headers: HostileRequest[] = [
  ...harmless.map(([name, fields]) => ({
    name: `GET /notes with ${name}`,
    bytes: () => get('/notes', fields),
    statuses: [200, 400],
    verify: verifyId,
  })),
  { name: 'GET without a host', bytes: () => host(), statuses: [400], mayClose: true },
  {
    name: 'GET with two hosts',
    bytes: () => host('Host: a', 'Host: injected'),
    statuses: [400],
    mayClose: true,
  },
  { name: 'GET with an empty host', bytes: () => host('Host: '), statuses: [200, 400] },
  {
    name: 'GET with a host that is a path',
    bytes: () => host('Host: /injected?<script>'),
    statuses: [200, 400],
  },
  {
    name: 'GET /openapi.json with a host that is a script',
    bytes: () =>
      request('GET /openapi.json HTTP/1.1', ['X-Forwarded-Host: "><script>injected</script>']),
    statuses: [200, 400],
  },
  {
    name: 'GET with 20,000 characters of headers',
    bytes: () => get('/notes', [`X-Long: ${'a'.repeat(20_000)}`]),
    statuses: [431],
    mayClose: true,
  },
  {
    name: 'GET with a header of a megabyte',
    bytes: () => get('/notes', [`X-Long: ${'a'.repeat(1_048_576)}`]),
    statuses: [431],
    mayClose: true,
  },
  {
    name: 'GET with a header name of 20,000 characters',
    bytes: () => get('/notes', [`X-${'a'.repeat(20_000)}: b`]),
    statuses: [431],
    mayClose: true,
  },
  {
    name: 'GET with 3,000 headers',
    bytes: () => get('/notes', Array(3_000).fill('a: b')),
    statuses: [200, 431],
    mayClose: true,
  },
  {
    name: 'GET with a URL of 20,000 characters',
    bytes: () => get(`/${'a'.repeat(20_000)}`),
    statuses: [414, 431],
    mayClose: true,
  },
  {
    name: 'POST with an unknown Expect',
    bytes: () => post('{"title":"a"}', 'application/json', ['Expect: injected']),
    statuses: [417],
  },
  {
    name: 'POST with Expect: 100-continue, which is legal',
    bytes: () => post('{"title":"a"}', 'application/json', ['Expect: 100-continue']),
    statuses: [201],
  },
  {
    name: 'POST with Expect: 100-continue and a body over the limit',
    bytes: () =>
      request('POST /notes HTTP/1.1', [
        'Content-Type: application/json',
        'Content-Length: 2000000',
        'Expect: 100-continue',
      ]),
    statuses: [413],
    mayClose: true,
  },
];
