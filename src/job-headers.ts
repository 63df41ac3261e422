import type { Headers } from './job-run.ts';

/** How a job with headers is stored; without headers it is the payload alone. */
interface Envelope {
  '/headers': Headers;
  '/payload': object;
}

/** What the queue keeps of a job. */
export function putHeaders(payload: object, headers: Headers): object {
  if (Object.keys(headers).length === 0) return payload;
  return { '/headers': headers, '/payload': payload } satisfies Envelope;
}

/** What putHeaders was given. A tick has no payload, what others queued may be no object. */
export function readHeaders(data: unknown): { payload: unknown; headers: Headers } {
  if (typeof data !== 'object' || !data || !('/headers' in data))
    return { payload: data ?? {}, headers: {} };
  const envelope = data as Envelope;
  return { payload: envelope['/payload'], headers: envelope['/headers'] };
}
