import type { Answer } from './answer.ts';
import type { Bytes } from './connection.ts';

/** A request that no good client sends, and what must come back. */
export interface HostileRequest {
  name: string;
  /** What is written to the connection. */
  bytes(): Bytes;
  /** What may come back; an answer from 400 on has the common shape. */
  statuses: number[];
  /** The connection may be closed without an answer; always so where no status is given. */
  mayClose?: boolean;
  /** How many answers must come: 1 unless these are several legal requests. */
  answers?: number;
  /** It is HEAD: its answer has no body. */
  bodiless?: boolean;
  /** Nothing comes after the bytes: the client half-closes its connection. */
  ends?: boolean;
  /** The app's own limits end it: it may take as long as they do, and runs beside the others. */
  slow?: boolean;
  /**
   * More that has to hold for each answer, of which the first has the position 0; throws where it
   * does not.
   */
  verify?(answer: Answer, position: number): void;
}

/**
 * Stands in every header value that is sent to do harm: it must not come back, and not reach the
 * log.
 */
export const INJECTED = 'injected';

/**
 * Stands in queries and in the credentials of URLs: it must not come back at all, and not reach the
 * log.
 */
export const SECRET = 'hunter2';

const LINE_END = '\r\n';

/** A request with a body of the announced length. */
export function request(line: string, fields: string[] = [], body: string | Buffer = ''): Buffer {
  const head = [line, 'Host: app.example', ...fields, '', ''].join(LINE_END);
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(body)]);
}

/** POST /notes with this body. */
export function post(
  body: string | Buffer,
  type = 'application/json',
  fields: string[] = [],
): Buffer {
  const length = `Content-Length: ${Buffer.byteLength(body)}`;
  return request(
    'POST /notes HTTP/1.1',
    [...(type ? [`Content-Type: ${type}`] : []), length, ...fields],
    body,
  );
}

/** POST /notes with a body in chunks, as they stand in `chunks`. */
export function postChunks(chunks: string, coding = 'Transfer-Encoding: chunked'): Buffer {
  return request('POST /notes HTTP/1.1', ['Content-Type: application/json', coding], chunks);
}

/** GET with these header fields. */
export function get(target: string, fields: string[] = []): Buffer {
  return request(`GET ${target} HTTP/1.1`, fields);
}
