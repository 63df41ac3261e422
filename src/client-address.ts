import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';

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

/**
 * An address as proxies write it, without port, brackets, quotes and zone; undefined where it is
 * none.
 */
export function cleanAddress(text = ''): string | undefined {
  if (isIP(text) === 4) return text;
  // Azure: 203.0.113.9:51234 and [2001:db8::1]:443.
  const bare = /^"?\[?(?:([\d.]+)(?::\d+)?|([\da-f:.]+)(?:%[^\]]*)?(?:\](?::\d+)?)?)"?$/i.exec(
    text,
  );
  const address = bare?.[1] ?? bare?.[2] ?? '';
  if (isIP(address) === 0) return undefined;
  const [, dotted, high = '', low = ''] = MAPPED.exec(address) ?? [address];
  if (dotted) return dotted;
  if (high === '') return address;
  const bytes = [high, low].map((group) => parseInt(group, 16));
  return bytes.flatMap((group) => [group >> 8, group & 255]).join('.');
}
