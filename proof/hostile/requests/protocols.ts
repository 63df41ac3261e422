import { get, type HostileRequest, request } from '../request.ts';

const HTTP2_PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00';

/** The first record of TLS 1.2: a ClientHello with one cipher suite. */
const TLS_HELLO = Buffer.concat([
  Buffer.from('1603010031010000 2d0303'.replaceAll(' ', ''), 'hex'),
  Buffer.alloc(32, 7),
  Buffer.from('000002002f01000002000000', 'hex'),
]);

const foreign: [string, string | Buffer][] = [
  ['an HTTP/2 preface', Buffer.from(HTTP2_PREFACE, 'latin1')],
  ['a TLS ClientHello', TLS_HELLO],
  ['an SSH banner', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['a SOCKS greeting', Buffer.from('050100', 'hex')],
  ['a Redis command', '*1\r\n$4\r\nPING\r\n'],
  ['a PostgreSQL startup message', Buffer.from('0000000804d2162f', 'hex')],
  [
    'a line of the PROXY protocol',
    'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /notes HTTP/1.1\r\nHost: a\r\n\r\n',
  ],
  ['a megabyte of NULs', Buffer.alloc(1_048_576)],
  ['a megabyte of one letter', 'A'.repeat(1_048_576)],
  ['an answer instead of a request', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['HTTP/1.9', 'GET /notes HTTP/1.9\r\nHost: a\r\n\r\n'],
  ['HTTP/3.7', 'GET /notes HTTP/3.7\r\nHost: a\r\n\r\n'],
  ['http/1.1', 'GET /notes http/1.1\r\nHost: a\r\n\r\n'],
  ['a method in lower case', 'get /notes HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['an unknown method', 'INJECT /notes HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a method of 10,000 characters', `${'GET'.repeat(3_334)} /notes HTTP/1.1\r\nHost: a\r\n\r\n`],
  ['no method', ' /notes HTTP/1.1\r\nHost: a\r\n\r\n'],
];

const methods: [string, string, number[]][] = [
  ['TRACE', '/notes', [404, 405]],
  ['OPTIONS', '*', [204, 400, 404, 405]],
  ['PUT', '/notes', [404, 405]],
  ['PROPFIND', '/notes', [404, 405]],
  ['PURGE', '/notes', [404, 405]],
  ['DELETE', '/notes', [404, 405]],
  ['POST', '/health/live', [400, 404, 405, 415]],
  ['GET', 'http://injected.example/notes', [200, 400, 404]],
  ['GET', 'http://user:hunter2@app.example/notes', [200, 400, 404]],
  ['GET', 'https://[::1/notes', [200, 400, 404]],
  ['GET', 'file:///etc/passwd', [400, 404]],
  ['GET', 'javascript:injected', [400, 404]],
];

/** Other protocols, and rare parts of HTTP. */
export const protocols: HostileRequest[] = [
  ...foreign.map(([name, bytes]) => ({
    name: `A connection with ${name}`,
    bytes: () => bytes,
    statuses: [400, 431, 505],
    mayClose: true,
  })),
  ...methods.map(([method, target, statuses]) => ({
    name: `${method} ${target}`,
    bytes: () => request(`${method} ${target} HTTP/1.1`, ['Content-Length: 0']),
    statuses,
    mayClose: true,
  })),
  ...['SETUP', 'DESCRIBE', 'GET_PARAMETER'].map((method) => ({
    name: `${method} of RTSP`,
    bytes: () => request(`${method} / RTSP/1.0`),
    statuses: [400],
    mayClose: true,
  })),
  {
    name: 'CONNECT',
    bytes: () => request('CONNECT injected.example:443 HTTP/1.1'),
    statuses: [400, 404, 405],
    mayClose: true,
  },
  {
    name: 'HEAD /notes, which is legal',
    bytes: () => request('HEAD /notes HTTP/1.1'),
    statuses: [200],
    bodiless: true,
  },
  {
    name: 'HEAD of an unknown path',
    bytes: () => request('HEAD /nowhere HTTP/1.1'),
    statuses: [404],
    bodiless: true,
  },
  {
    name: 'HTTP/1.0 without a host, which is legal',
    bytes: () => 'GET /notes HTTP/1.0\r\n\r\n',
    statuses: [200],
  },
  {
    name: 'Line ends before a request, which is legal',
    bytes: () => Buffer.concat([Buffer.from('\r\n\r\n'), get('/notes')]),
    statuses: [200],
  },
  { name: 'A connection that is closed at once', bytes: () => '', statuses: [], ends: true },
  {
    name: 'A connection that is closed within a header',
    bytes: () => 'GET /notes HTTP/1.1\r\nHos',
    statuses: [400],
    mayClose: true,
    ends: true,
  },
];
