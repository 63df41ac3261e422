import { setTimeout as sleep } from 'node:timers/promises';
import { get, type HostileRequest, request } from '../request.ts';

/** The pause of a slow client before each byte, in milliseconds. */
const PAUSE_MS = 1_000;

const JSON_TYPE = 'Content-Type: application/json';

/** Sends the beginning at once and then a part each second, without an end. */
async function* dribble(beginning: string | Buffer, part: string): AsyncGenerator<string | Buffer> {
  yield beginning;
  for (;;) {
    await sleep(PAUSE_MS);
    yield part;
  }
}

const post = (field: string, body = '') =>
  request('POST /notes HTTP/1.1', [JSON_TYPE, field], body);

/** Slow clients that occupy a connection. */
export const slow: HostileRequest[] = [
  { name: 'A connection that sends nothing', bytes: () => '' },
  { name: 'An HTTP/0.9 request', bytes: () => 'GET /notes\r\n' },
  { name: 'A request line that never ends', bytes: () => dribble('GET /', 'a') },
  {
    name: 'Headers that never end',
    bytes: () => dribble('GET /notes HTTP/1.1\r\nHost: a\r\n', 'X-Slow: a\r\n'),
  },
  { name: 'Empty lines that never end', bytes: () => dribble('', '\r\n') },
  { name: 'A body that never begins', bytes: () => post('Content-Length: 100') },
  {
    name: 'A body that arrives byte by byte',
    bytes: () => dribble(post('Content-Length: 1000', '{"title":"'), 'a'),
  },
  {
    name: 'Chunks that never end',
    bytes: () => dribble(post('Transfer-Encoding: chunked'), '1\r\n \r\n'),
  },
  {
    name: 'A chunk extension that never ends',
    bytes: () => dribble(post('Transfer-Encoding: chunked', '1;a='), 'b'),
  },
  {
    name: 'Trailers that never end',
    bytes: () => dribble(post('Transfer-Encoding: chunked', '0\r\n'), 'X-Slow: a\r\n'),
  },
  {
    name: 'A body of a refused type that never arrives',
    bytes: () =>
      request('POST /notes HTTP/1.1', ['Content-Type: text/plain', 'Content-Length: 100']),
    statuses: [408, 415],
  },
  {
    name: 'A body for an unknown route that never arrives',
    bytes: () => request('POST /nowhere HTTP/1.1', [JSON_TYPE, 'Content-Length: 100']),
    statuses: [404, 408],
  },
  {
    name: 'A good request followed by half of another',
    bytes: () =>
      dribble(
        Buffer.concat([get('/notes'), Buffer.from('GET /notes HTTP/1.1\r\n')]),
        'X-Slow: a\r\n',
      ),
    statuses: [200, 408],
    answers: 2,
  },
].map((row) => ({ statuses: [408], mayClose: true, slow: true, ...row }));
