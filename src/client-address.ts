import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';

/** An address as proxies write it (Azure: 203.0.113.9:51234 and [2001:db8::1]:443), perhaps quoted, with a zone. */
const WRITTEN = /^"?\[?(?:([\d.]+)(?::\d+)?|([\da-f:.]+)(?:%[^\]]*)?(?:\](?::\d+)?)?)"?$/i;

/** An IPv4 address that is written as an IPv6 address, in both ways (RFC 4291, 2.5.5.2). */
const MAPPED = /^::ffff:(?:([\d.]+)|([\da-f]{1,4}):([\da-f]{1,4}))$/i;

/**
 * The client's address as the trusted proxies tell it in X-Forwarded-For, or that of the peer where
 * they tell none. Forwarded (RFC 7239) is not read: a router that writes it writes X-Forwarded-For
 * too, all others pass on what a client wrote.
 */
export function readAddress({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  return cleanAddress(ip) ?? cleanAddress(socket.remoteAddress) ?? '';
}

/** An address without port, brackets, quotes and zone; undefined where it is none. */
export function cleanAddress(text = ''): string | undefined {
  if (isIP(text) === 4) return text;
  const [, ipv4, address = ipv4 ?? ''] = WRITTEN.exec(text) ?? [];
  if (isIP(address) === 0) return undefined;
  const [, dotted, ...groups] = MAPPED.exec(address) ?? [];
  if (dotted || groups.length === 0) return dotted ?? address;
  const bytes = groups
    .map((group) => parseInt(group, 16))
    .flatMap((pair) => [pair >> 8, pair & 255]);
  return bytes.join('.');
}
