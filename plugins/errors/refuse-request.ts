import type { IncomingMessage } from 'node:http';
import createError from '@fastify/error';
import type { FastifyRequest } from 'fastify';
import type { ClientError } from './index.ts';

/** The longest part of a path between two slashes, in characters: longer than any id. */
export const MAX_PATH_PART = 500;

const BadHost = createError('BAD_HOST', 'A request names exactly one host.', 400);
const BadVersion = createError('BAD_VERSION', 'Only HTTP/1.0 and HTTP/1.1 are spoken here.', 400);
const BadCoding = createError('BAD_TRANSFER_CODING', 'Only chunked is decoded here.', 400);
const BadPath = createError('BAD_PATH', 'The path is no URL, or not valid percent-encoding.', 400);
const PathTooLong = createError('URI_TOO_LONG', 'A part of the path is too long.', 414);
const ExpectationFailed = createError(
  'EXPECTATION_FAILED',
  'Nothing but 100-continue can be expected.',
  417,
);

/** A name or an address with a port, or nothing (RFC 9112, 3.2); two are joined by a comma. */
const HOST = /^(\[[\da-f:.]+\]|[\w.~%!$&'()*+;=-]*)(:\d*)?$/i;

/**
 * The URL that is routed: another one where the router would refuse it before there are hooks, by
 * which `refuseRequest` knows it.
 */
export function rewriteUrl({ url = '', method }: IncomingMessage): string {
  // Most are as plain as this: nothing is too long or has to be decoded.
  if (url.startsWith('/') && url.length <= MAX_PATH_PART && !url.includes('%')) return url;
  if (url === '*' && method !== 'OPTIONS') return '/';
  return isTooLong(url) || !isReadable(url) ? '/' : url;
}

/** What Node's parser lets pass and HTTP does not (RFC 9110, 7.2 and 10.1.1; RFC 9112, 6.1). */
export function refuseRequest(request: FastifyRequest): ClientError | undefined {
  const { headers, raw } = request;
  const { host, expect, 'transfer-encoding': coding } = headers;
  if (host === undefined ? raw.httpVersion === '1.1' : !HOST.test(host)) return new BadHost();
  if (raw.httpVersionMajor !== 1) return new BadVersion();
  if (coding && coding.toLowerCase() !== 'chunked') return new BadCoding();
  if (expect && expect.toLowerCase() !== '100-continue') return new ExpectationFailed();
  if (request.url === request.originalUrl) return undefined;
  return isTooLong(request.originalUrl) ? new PathTooLong() : new BadPath();
}

function isTooLong(url: string): boolean {
  if (url.length <= MAX_PATH_PART) return false;
  return readRoute(url)
    .split('/')
    .some((part) => part.length > MAX_PATH_PART);
}

function isReadable(url: string): boolean {
  if (!url.startsWith('/') && url !== '*' && !isAbsolute(url)) return false;
  try {
    decodeURIComponent(readRoute(url));
    return true;
  } catch {
    return false;
  }
}

/** A proxy is asked with the whole URL, in which there is no fragment (RFC 9112, 3.2.2). */
function isAbsolute(url: string): boolean {
  return /^https?:\/\/[^/?#]+([/?][^#]*)?$/i.test(url) && URL.canParse(url);
}

function readRoute(url: string): string {
  return url.split(/[?#]/, 1)[0]!;
}
