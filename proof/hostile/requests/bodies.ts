import assert from 'node:assert/strict';
import { type HostileRequest, post, postChunks, request } from '../request.ts';

/** Fastify's default limit of a body in bytes. */
const BODY_LIMIT = 1_048_576;

const deep = (open: string, close: string) => `${open.repeat(100_000)}${close.repeat(100_000)}`;

/** A body of chunks that is a byte over the limit. */
const fullChunks = `10000\r\n${' '.repeat(0x10000)}\r\n`.repeat(BODY_LIMIT / 0x10000);
const tooManyChunks = `${fullChunks}1\r\n \r\n0\r\n\r\n`;

const MISTAKES = Object.fromEntries(Array.from({ length: 30_000 }, (_, index) => [`k${index}`, 1]));

const broken: [string, string | Buffer][] = [
  ['JSON that ends early', '{"title":"a"'],
  ['JSON followed by more', '{"title":"a"} {}'],
  ['JSON in single quotes', "{'title':'a'}"],
  ['JSON with a comment', '{"title":"a"/* */}'],
  ['JSON with NaN', '{"title":NaN}'],
  ['an empty body', ''],
  ['spaces only', '   '],
  ['a raw NUL in a string', '{"title":"a\0b"}'],
  ['a raw line feed in a string', '{"title":"a\nb"}'],
  ['a body that is not UTF-8', Buffer.from('{"title":"caf\xe9"}', 'latin1')],
  ['a body in UTF-16', Buffer.from('\ufeff{"title":"a"}', 'utf16le')],
  ['random bytes', Buffer.from('9f8e7d6c5b4a39281706f5e4d3c2b1a0ff00', 'hex')],
  [
    'gzip without Content-Encoding',
    Buffer.from('1f8b08000000000000ffab562ac92cc9495500000000', 'hex'),
  ],
];

const unwanted: [string, string][] = [
  ['null', 'null'],
  ['a number', '123'],
  ['a string', '"title"'],
  ['an array', '[{"title":"a"}]'],
  ['an array of 300,000', `[${'0,'.repeat(299_999)}0]`],
  ['arrays 100,000 deep', deep('[', ']')],
  [
    'objects 100,000 deep in a field',
    `{"title":${deep('{"a":', '}').replace('{"a":}', '{"a":1}')}}`,
  ],
  ['100,000 unknown fields', `{${Array.from({ length: 75_000 }, (_, i) => `"k${i}":0`).join()}}`],
  ['an unknown field', '{"title":"a","admin":true}'],
  ['a title that is a number above all limits', '{"title":1e999999}'],
  ['a title that is an object', '{"title":{"toString":"a"}}'],
  ['a title that is an array', '{"title":["a"]}'],
  ['a title that is null', '{"title":null}'],
  ['an empty title', '{"title":""}'],
  ['a title of 201 characters', `{"title":"${'é'.repeat(201)}"}`],
  ['a body of 10,001 characters', `{"title":"a","body":"${'b'.repeat(10_001)}"}`],
  ['an escaped NUL in a string', '{"title":"a\\u0000b"}'],
  ['a lone high surrogate', '{"title":"\\ud83d"}'],
  ['a lone low surrogate', '{"title":"\\ude00"}'],
  ['surrogates in the wrong order', '{"title":"\\ude00\\ud83d"}'],
  ['__proto__', '{"title":"a","__proto__":{"admin":true}}'],
  ['__proto__ in escapes', '{"title":"a","\\u005f_proto_\\u005f":{"admin":true}}'],
  ['__proto__ alone', '{"__proto__":{"title":"a"}}'],
  ['constructor.prototype', '{"title":"a","constructor":{"prototype":{"admin":true}}}'],
];

const fits: [string, string][] = [
  ['a title of 200 emoji', `{"title":"${'\u{1f600}'.repeat(200)}"}`],
  ['a title that looks like SQL', `{"title":"'); drop table notes; --"}`],
  ['a title that looks like HTML', '{"title":"<script>alert(1)</script>"}'],
  [
    'a title of control characters and direction marks',
    '{"title":"\\u0001\\u202e\\u0008\\u001b[31m"}',
  ],
  ['the same field twice', '{"title":"a","title":"b"}'],
];

/** Hostile bodies. */
export const bodies: HostileRequest[] = [
  ...[...broken, ...unwanted].map(([name, body]) => ({
    name: `POST /notes with ${name}`,
    bytes: () => post(body),
    statuses: [400],
  })),
  ...fits.map(([name, body]) => ({
    name: `POST /notes with ${name}, which is legal`,
    bytes: () => post(body),
    statuses: [201],
  })),
  {
    name: 'POST /notes with a body a byte over the limit',
    bytes: () => post(`{"title":"${'a'.repeat(BODY_LIMIT + 1 - 12)}"}`),
    statuses: [413],
    mayClose: true,
  },
  {
    name: 'POST /notes with chunks a byte over the limit',
    bytes: () => postChunks(tooManyChunks),
    statuses: [413],
    mayClose: true,
  },
  {
    name: 'POST /notes with 30,000 mistakes',
    bytes: () => post(JSON.stringify({ ...MISTAKES, title: 1 })),
    statuses: [400],
    verify: ({ body }) => assert(body.length < 5_000, `an answer of ${body.length} characters`),
  },
  {
    name: 'POST /notes with a Content-Length of 10 GiB',
    bytes: () =>
      request('POST /notes HTTP/1.1', [
        'Content-Type: application/json',
        'Content-Length: 10737418240',
      ]),
    statuses: [413],
    mayClose: true,
  },
  {
    name: 'POST /notes whose client disconnects within the body',
    bytes: () =>
      request(
        'POST /notes HTTP/1.1',
        ['Content-Type: application/json', 'Content-Length: 100'],
        '{"ti',
      ),
    statuses: [400],
    mayClose: true,
    ends: true,
  },
];
