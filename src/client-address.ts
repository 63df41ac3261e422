import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import type { Config } from '../plugins/env/index.ts';

/** As proxies write it (203.0.113.9:51234, [2001:db8::1]:443), perhaps quoted, with a zone. */
const WRITTEN =
  /^"?\[?(?:(?<ipv4>[\d.]+)(?::\d+)?|(?<ipv6>[\da-f:.]+)(?:%[^\]]*)?(?:\](?::\d+)?)?)"?$/i;

/** An IPv4 address that is written as an IPv6 address, in both ways (RFC 4291, 2.5.5.2). */
const MAPPED = /^::ffff:(?:(?<dotted>[\d.]+)|(?<high>[\da-f]{1,4}):(?<low>[\da-f]{1,4}))$/i;

/** How many proxies in a row are believed: a client may write thousands of them into a header. */
const MAX_PROXIES = 20;

/** What TRUST_PROXY may name beside addresses and CIDRs. */
const RANGES: Record<string, string> = {
  loopback: '127.0.0.0/8 ::1',
  linklocal: '169.254.0.0/16 fe80::/10',
  // 100.64.0.0/10 is for carriers (RFC 6598), as private as the others: Railway's routers.
  uniquelocal: '10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7',
  // https://www.cloudflare.com/ips, as of 2026-02-11; the last change was in 2021.
  cloudflare:
    '173.245.48.0/20 103.21.244.0/22 103.22.200.0/22 103.31.4.0/22 141.101.64.0/18 ' +
    '108.162.192.0/18 190.93.240.0/20 188.114.96.0/20 197.234.240.0/22 198.41.128.0/17 ' +
    '162.158.0.0/15 104.16.0.0/13 104.24.0.0/14 172.64.0.0/13 131.0.72.0/22 2400:cb00::/32 ' +
    '2606:4700::/32 2803:f800::/32 2405:b500::/32 2405:8100::/32 2a06:98c0::/29 2c0f:f248::/32',
};

/**
 * The client's address by X-Forwarded-For, or the connection's. Forwarded (RFC 7239) is not read:
 * routers that do not write it pass on what a client wrote.
 */
export function readAddress({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  return cleanAddress(ip) ?? cleanAddress(socket.remoteAddress) ?? '';
}

/**
 * Lets the header of CLIENT_ADDRESS_HEADER stand for X-Forwarded-For, where a trusted proxy sends
 * it: for platforms whose own proxies have public addresses that nobody can list.
 */
export function createHeaderReader(config: Readonly<Config>): (request: IncomingMessage) => void {
  const name = config.CLIENT_ADDRESS_HEADER?.toLowerCase();
  const isProxy = trustProxies(config.TRUST_PROXY);
  return ({ headers, socket }) => {
    if (name && headers[name] && isProxy(`${socket.remoteAddress}`))
      headers['x-forwarded-for'] = `${headers[name]}`;
  };
}

/**
 * Whether an address is one of the proxies in the list, as Fastify's `trustProxy` asks it: first of
 * the connection's own, whose distance is 0, then of the one before it, until one is none. Throws
 * where the list is not valid.
 */
export function trustProxies(list: string): (address: string, distance?: number) => boolean {
  const proxies = new BlockList();
  for (const item of list.split(',').map((text) => text.trim()))
    for (const range of RANGES[item]?.split(' ') ?? [item]) addRange(proxies, range);
  return (text, distance = 0) => {
    const address = distance < MAX_PROXIES ? cleanAddress(text) : undefined;
    return address !== undefined && proxies.check(address, readFamily(address));
  };
}

/** A prefix of no bits would trust everybody. */
function addRange(proxies: BlockList, range: string): void {
  const [, address = '', bits] = /^([^/]+)(?:\/([1-9]\d*))?$/.exec(range) ?? [];
  if (bits) proxies.addSubnet(address, Number(bits), readFamily(address));
  else proxies.addAddress(address, readFamily(address));
}

function readFamily(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}

/** An address without port, brackets, quotes and zone; undefined where it is none. */
export function cleanAddress(text = ''): string | undefined {
  // As a connection has it, which is read with each request: the expressions take ten times longer.
  const plain = text.startsWith('::ffff:') ? text.slice('::ffff:'.length) : text;
  if (isIP(plain) === 4) return plain;
  const { ipv4, ipv6 } = WRITTEN.exec(text)?.groups ?? {};
  const address = ipv4 ?? ipv6 ?? '';
  if (isIP(address) === 0) return undefined;
  const { dotted = address, high, low } = MAPPED.exec(address)?.groups ?? {};
  if (!high || !low) return dotted;
  return Buffer.from(high.padStart(4, '0') + low.padStart(4, '0'), 'hex').join('.');
}
