import type { Answer } from './answer.ts';
import type { Bytes } from './connection.ts';

/** A request that no good client sends, and its allowed answers. */
export interface HostileRequest {
  name: string;
  bytes(): Bytes;
  /** The allowed statuses; an answer from 400 on has the common shape. */
  statuses: number[];
  /** Whether the connection may close without an answer. Without statuses, it always may. */
  mayClose?: boolean;
  /** The number of answers: 1 unless these are several legal requests. */
  answers?: number;
  /** The request is HEAD: its answer has no body. */
  bodiless?: boolean;
  /** Half-closes the connection after the bytes. */
  ends?: boolean;
  /** Ends by a time-out of the app, so it runs beside the others. */
  slow?: boolean;
  /**
   * Checks each answer further; the first has the position 0.
   *
   * @throws if a check fails
   */
  verify?(answer: Answer, position: number): void;
}

/** A text in each hostile header value. It must not be in an answer or the log. */
export const INJECTED = 'injected';

/** A secret in queries and in the credentials of URLs. It must not be in an answer or the log. */
export const SECRET = 'hunter2';

const LINE_END = '\r\n';

/** Builds a request with a body and its Content-Length. */
export function request(line: string, fields: string[] = [], body: string | Buffer = ''): Buffer {
  const head = [line, 'Host: app.example', ...fields, '', ''].join(LINE_END);
  return Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(body)]);
}

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

/** POST /notes with raw chunks as its body. */
export function postChunks(chunks: string, coding = 'Transfer-Encoding: chunked'): Buffer {
  return request('POST /notes HTTP/1.1', ['Content-Type: application/json', coding], chunks);
}

export function get(target: string, fields: string[] = []): Buffer {
  return request(`GET ${target} HTTP/1.1`, fields);
}
