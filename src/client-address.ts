import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';

/**
 * The client's address as the trusted proxies tell it, or that of the peer where they tell none: what a client writes
 * into X-Forwarded-For need not be one. A socket of both families has IPv4's as an IPv6 address (RFC 4291, 2.5.5.2).
 */
export function readAddress({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  const address = isIP(ip) ? ip : (socket.remoteAddress ?? '');
  return address.startsWith('::ffff:') && address.includes('.')
    ? address.slice('::ffff:'.length)
    : address;
}
