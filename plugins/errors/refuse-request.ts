import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import createError from '@fastify/error';
import type { FastifyRequest } from 'fastify';
import { dropQuery } from '../../src/location.ts';
import { http } from '../../src/node-http.ts';
import { succeeds } from '../../src/succeeds.ts';
import type { ClientError } from './index.ts';

/** The longest part of a path between two slashes, in characters. An id is shorter. */
export const MAX_PATH_PART = 500;

const BadHost = createError('BAD_HOST', 'A request must name exactly one host.', 400);
const BadVersion = createError('BAD_VERSION', 'Only HTTP/1.0 and HTTP/1.1 are supported.', 400);
const BadCoding = createError(
  'BAD_TRANSFER_CODING',
  'The transfer coding must be chunked, in HTTP/1.1.',
  400,
);
const BadHandshake = createError(
  'BAD_HANDSHAKE',
  'A WebSocket needs a Sec-WebSocket-Key and Sec-WebSocket-Version: 13.',
  400,
);
const BadPath = createError('BAD_PATH', 'The path, or its encoding, is not valid.', 400);
const PathTooLong = createError('URI_TOO_LONG', 'A part of the path is too long.', 414);
const BadExpect = createError('EXPECTATION_FAILED', 'Only Expect: 100-continue is supported.', 417);

/** A name or an address, with or without a port, or empty (RFC 9112, 3.2). No comma: one host. */
const HOST = /^(\[[\da-f:.]+\]|[\w.~%!$&'()*+;=-]*)(:\d*)?$/i;

const METHODS = new Set(http.METHODS);

/** Replaces a URL that the router refuses before all hooks: `refuseRequest` sees the change. */
export function rewriteUrl(request: IncomingMessage): string {
  const { url = '', method = '' } = request;
  // Node also reads RTSP, but no route can have its methods. refuseRequest refuses the version.
  if (!METHODS.has(method)) {
    Object.assign(request, { method: 'GET', httpVersionMajor: 0 });
    return '/';
  }
  if (url.startsWith('/') && url.length <= MAX_PATH_PART && !url.includes('%')) return url;
  if (url === '*' && method !== 'OPTIONS') return '/';
  return isTooLong(url) || !isReadable(url) ? '/' : url;
}

/** Refuses what Node accepts but HTTP forbids (RFC 9110, 7.2 and 10.1.1; RFC 9112, 6.1). */
export function refuseRequest(request: FastifyRequest): ClientError | undefined {
  const { headers, raw } = request;
  const { host, expect, 'transfer-encoding': coding } = headers;
  if (host === undefined ? raw.httpVersion === '1.1' : !HOST.test(host)) return new BadHost();
  if (raw.httpVersionMajor !== 1) return new BadVersion();
  // HTTP/1.0 has no transfer codings: a router may see another end of this request.
  const isCoded = coding && (raw.httpVersion === '1.0' || coding.toLowerCase() !== 'chunked');
  if (isCoded) return new BadCoding();
  if (expect && expect.toLowerCase() !== '100-continue') return new BadExpect();
  // Node has met it. A proxy must not pass it on.
  if (expect) delete headers.expect;
  if (raw.openRequest?.isUpgraded && !isHandshake(headers)) return new BadHandshake();
  if (request.url === request.originalUrl) return undefined;
  return isTooLong(request.originalUrl) ? new PathTooLong() : new BadPath();
}

/** Package ws would refuse it too (RFC 6455, 4.2.1), but without our headers. */
function isHandshake(headers: IncomingHttpHeaders): boolean {
  const { 'sec-websocket-key': key = '', 'sec-websocket-version': version } = headers;
  return /^[+/\dA-Za-z]{22}==$/.test(key) && /^(8|13)$/.test(`${version}`);
}

function isTooLong(url: string): boolean {
  if (url.length <= MAX_PATH_PART) return false;
  return dropQuery(url)
    .split('/')
    .some((part) => part.length > MAX_PATH_PART);
}

function isReadable(url: string): boolean {
  const isForm = url.startsWith('/') || url === '*' || isAbsolute(url);
  return isForm && succeeds(() => decodeURIComponent(dropQuery(url)));
}

/** Requests to a proxy have the whole URL, without a fragment (RFC 9112, 3.2.2). */
function isAbsolute(url: string): boolean {
  return /^https?:\/\/[^/?#]+([/?][^#]*)?$/i.test(url) && URL.canParse(url);
}
