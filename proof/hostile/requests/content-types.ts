import { gzipSync } from 'node:zlib';
import { get, type HostileRequest, post, request } from '../request.ts';

const NOTE = '{"title":"a"}';
const UNKNOWN = '01980a5e-7c1a-7b3e-9f00-5d1c2a3b4c5d';

const unsupported: [string, string, string?][] = [
  ['no content type', ''],
  ['text/plain', 'text/plain'],
  ['a form', 'application/x-www-form-urlencoded', 'title=a'],
  [
    'a multipart form',
    'multipart/form-data; boundary=b',
    '--b\r\nContent-Disposition: form-data; name=title\r\n\r\na\r\n--b--',
  ],
  [
    'XML with an external entity',
    'text/xml',
    '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
  ],
  ['application/jsonx', 'application/jsonx'],
  [
    'application/json-patch+json',
    'application/json-patch+json',
    '[{"op":"add","path":"/title","value":"a"}]',
  ],
  ['a content type with a space that is not ASCII', 'application/json\xa0'],
  ['a content type without a subtype', 'application/'],
  ['a content type of punctuation', ';;;,,,==='],
  ['two content types in one header', 'text/plain, application/json'],
  ['a content type of 10,000 characters', `application/${'json'.repeat(2_500)}`],
];

/** Content types of requests without a body. */
const typesOfNothing = ['application/json', 'text/plain', 'application/', ';;;,,,===', 'a/b;c=d'];

/** Hostile content types. */
export const contentTypes: HostileRequest[] = [
  ...typesOfNothing.flatMap((type) => [
    {
      name: `DELETE /notes/:id without a body, as ${type}`,
      bytes: () => request(`DELETE /notes/${UNKNOWN} HTTP/1.1`, [`Content-Type: ${type}`]),
      statuses: [404],
    },
    {
      name: `POST /notes without the body that it needs, as ${type}`,
      bytes: () => post('', type),
      statuses: [400],
    },
    {
      name: `POST /notes with an empty chunked body, as ${type}`,
      bytes: () =>
        request(
          'POST /notes HTTP/1.1',
          [`Content-Type: ${type}`, 'Transfer-Encoding: chunked'],
          '0\r\n\r\n',
        ),
      statuses: [400],
    },
  ]),
  ...unsupported.map(([name, type, body = NOTE]) => ({
    name: `POST /notes as ${name}`,
    bytes: () => post(body, type),
    statuses: [415],
  })),
  {
    name: 'POST /notes as JSON in a charset that JSON does not have',
    bytes: () => post(Buffer.from(NOTE, 'utf16le'), 'application/json; charset=utf-16'),
    statuses: [415],
  },
  {
    name: 'POST /notes as JSON in latin-1',
    bytes: () =>
      post(Buffer.from('{"title":"caf\xe9"}', 'latin1'), 'application/json; charset=iso-8859-1'),
    statuses: [400, 415],
  },
  {
    name: 'POST /notes as JSON with broken parameters',
    bytes: () => post(NOTE, 'application/json; charset="utf-8; ='),
    statuses: [201, 400, 415],
  },
  {
    name: 'POST /notes with a second content type',
    bytes: () => post(NOTE, 'text/plain', ['Content-Type: application/json']),
    statuses: [400, 415],
  },
  {
    name: 'POST /notes as gzip',
    bytes: () => post(gzipSync(NOTE), 'application/json', ['Content-Encoding: gzip']),
    statuses: [400, 415],
  },
  {
    name: 'POST /notes with Content-Encoding: gzip, but plain',
    bytes: () => post(NOTE, 'application/json', ['Content-Encoding: gzip']),
    statuses: [201, 400, 415],
  },
  {
    name: 'GET /notes with a body, which is legal',
    bytes: () =>
      request(
        'GET /notes HTTP/1.1',
        ['Content-Type: application/json', 'Content-Length: 5'],
        '{"a":',
      ),
    statuses: [200, 400],
  },
  {
    name: 'DELETE /notes/:id with a malformed body',
    bytes: () =>
      request(
        'DELETE /notes/01980a5e-7c1a-7b3e-9f00-5d1c2a3b4c5d HTTP/1.1',
        ['Content-Type: application/json', 'Content-Length: 1'],
        '{',
      ),
    statuses: [400, 404],
  },
  {
    name: 'GET /notes with an Accept that the app cannot satisfy',
    bytes: () => get('/notes', ['Accept: image/\xff, */nothing;q=-1, text/html;q=999']),
    statuses: [200, 406],
  },
];
