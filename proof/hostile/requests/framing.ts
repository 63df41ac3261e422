import assert from 'node:assert/strict';
import { get, type HostileRequest, post, postChunks, request } from '../request.ts';

const NOTE = '{"title":"a"}';
const LENGTH = `Content-Length: ${NOTE.length}`;
const JSON_TYPE = 'Content-Type: application/json';
const CHUNKS = `d\r\n${NOTE}\r\n0\r\n\r\n`;

/** A request within the body of another. It must never be answered. */
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n';

const withFields = (fields: string[], body = NOTE) =>
  request('POST /notes HTTP/1.1', [JSON_TYPE, ...fields], body);

const refused: [string, () => Buffer][] = [
  ['two equal lengths', () => withFields([LENGTH, LENGTH])],
  ['two different lengths', () => withFields([LENGTH, 'Content-Length: 5'])],
  ['a list of lengths', () => withFields(['Content-Length: 13, 13'])],
  ['a length with a sign', () => withFields(['Content-Length: +13'])],
  ['a negative length', () => withFields(['Content-Length: -1'])],
  ['a hexadecimal length', () => withFields(['Content-Length: 0xd'])],
  ['a length above all limits', () => withFields([`Content-Length: ${'9'.repeat(40)}`])],
  ['an empty length', () => withFields(['Content-Length: '])],
  ['a length and chunks', () => withFields([LENGTH, 'Transfer-Encoding: chunked'], CHUNKS)],
  [
    'chunks and a length',
    () => withFields(['Transfer-Encoding: chunked', 'Content-Length: 4'], `0\r\n\r\n${SMUGGLED}`),
  ],
  [
    'a request in a body with a short length',
    () => withFields(['Content-Length: 0', 'Transfer-Encoding: chunked'], SMUGGLED),
  ],
  ['an unknown transfer coding', () => postChunks(CHUNKS, 'Transfer-Encoding: xchunked')],
  [
    'chunked as the first of two codings',
    () => postChunks(CHUNKS, 'Transfer-Encoding: chunked, identity'),
  ],
  [
    'chunked twice',
    () => postChunks(CHUNKS, 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'),
  ],
  ['chunked after a control character', () => postChunks(CHUNKS, 'Transfer-Encoding: \x0bchunked')],
  ['chunked in quotes', () => postChunks(CHUNKS, 'Transfer-Encoding: "chunked"')],
  ['a space before the colon', () => postChunks(CHUNKS, 'Transfer-Encoding : chunked')],
  ['a chunk whose size is not a number', () => postChunks(`zz\r\n${NOTE}\r\n0\r\n\r\n`)],
  ['a chunk with a negative size', () => postChunks(`-d\r\n${NOTE}\r\n0\r\n\r\n`)],
  ['a chunk size with 0x', () => postChunks(`0xd\r\n${NOTE}\r\n0\r\n\r\n`)],
  ['a chunk size above all limits', () => postChunks(`${'f'.repeat(17)}\r\n${NOTE}\r\n0\r\n\r\n`)],
  ['a chunk longer than its size', () => postChunks(`5\r\n${NOTE}\r\n0\r\n\r\n`)],
  ['a chunk size that ends in a bare line feed', () => postChunks(`d\n${NOTE}\r\n0\r\n\r\n`)],
  ['a chunk that ends in a bare line feed', () => postChunks(`d\r\n${NOTE}\n0\r\n\r\n`)],
  ['a line feed in a chunk extension', () => postChunks(`d;a=\nb\r\n${NOTE}\r\n0\r\n\r\n`)],
  ['bare line feeds', () => Buffer.from('GET /notes HTTP/1.1\nHost: app.example\n\n')],
  ['bare carriage returns', () => Buffer.from('GET /notes HTTP/1.1\rHost: app.example\r\r')],
  ['a header folded over two lines', () => get('/notes', ['X-Folded: a', ' injected'])],
  ['a header without a colon', () => get('/notes', ['injected'])],
  ['a header without a name', () => get('/notes', [': injected'])],
  ['a space in a header name', () => get('/notes', ['X Header: injected'])],
  ['a NUL in a header', () => get('/notes', ['X-Header: injected\0'])],
  ['a bare line feed in a header', () => get('/notes', ['X-Header: a\ninjected: b'])],
  ['a carriage return in a header', () => get('/notes', ['X-Header: a\rinjected: b'])],
  ['a line that begins with a space', () => get('/notes', [' X-Header: injected'])],
];

/** Hostile framing: where a request ends and the next begins. */
export const framing: HostileRequest[] = [
  ...refused.map(([name, bytes]) => ({
    name: `A request with ${name}`,
    bytes,
    statuses: [400],
    mayClose: true,
  })),
  {
    name: 'A request with 100,000 characters of chunk extensions',
    bytes: () => postChunks(`d;a=${'b'.repeat(100_000)}\r\n${NOTE}\r\n0\r\n\r\n`),
    statuses: [400, 413, 431],
    mayClose: true,
  },
  {
    name: 'A request with many small chunk extensions, which is legal',
    bytes: () => postChunks(`${'1;injected=b\r\n \r\n'.repeat(5_000)}${CHUNKS}`),
    statuses: [201, 400, 413],
  },
  {
    name: 'A request with a chunk extension, which is legal',
    bytes: () => postChunks(`d;a="b"\r\n${NOTE}\r\n0\r\n\r\n`),
    statuses: [201],
  },
  {
    name: 'A request with trailers that change its framing',
    bytes: () =>
      postChunks(
        [
          `d\r\n${NOTE}\r\n0`,
          'Content-Length: 5',
          'Transfer-Encoding: x',
          'X-Request-ID: injected\r\n\r\n',
        ].join('\r\n'),
      ),
    statuses: [201, 400],
    mayClose: true,
  },
  {
    name: 'A request in the body of another, which is legal',
    bytes: () => post(SMUGGLED, 'text/plain'),
    statuses: [415],
  },
  {
    name: 'Two requests at once, which is legal',
    bytes: () => Buffer.concat([get('/notes'), get('/health/live')]),
    statuses: [200],
    answers: 2,
  },
  {
    name: 'A hundred requests at once, which is legal',
    bytes: () => Buffer.concat(Array(100).fill(get('/health/live'))),
    statuses: [200],
    answers: 100,
  },
  {
    name: 'A good request followed by a malformed one',
    bytes: () => Buffer.concat([get('/health/live'), Buffer.from('injected\r\n\r\n')]),
    statuses: [200, 400],
    answers: 2,
    mayClose: true,
    verify: ({ status }, position) =>
      assert.equal(status, position === 0 ? 200 : 400, 'the order is not kept'),
  },
  {
    name: 'A request with Connection: close, followed by another',
    bytes: () => Buffer.concat([get('/health/live', ['Connection: close']), Buffer.from(SMUGGLED)]),
    statuses: [200],
  },
];
