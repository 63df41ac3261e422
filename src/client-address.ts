import type { IncomingMessage } from 'node:http';
import { BlockList, isIPv4, isIPv6, SocketAddress } from 'node:net';
import type { FastifyRequest } from 'fastify';
import type { Config } from '../plugins/env/index.ts';

/** An address as proxies write it: 203.0.113.9:51234, "[2001:db8::1]:443", fe80::1%eth0. */
const PROXY_FORM =
  /^"?\[?(?:(?<ipv4>[\d.]+)(?::\d+)?|(?<ipv6>[\da-f:.]+)(?:%[^\]]*)?(?:\](?::\d+)?)?)"?$/i;

/** How many proxies in a row are trusted. A client may write thousands of them into a header. */
const MAX_PROXIES = 20;

const RANGES: Record<string, string> = {
  loopback: '127.0.0.0/8 ::1',
  linklocal: '169.254.0.0/16 fe80::/10',
  // 100.64.0.0/10 is private too (RFC 6598). Railway's routers use it.
  uniquelocal: '10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 fc00::/7',
  // https://www.cloudflare.com/ips, as of 2026-02-11; the last change was in 2021.
  cloudflare:
    '173.245.48.0/20 103.21.244.0/22 103.22.200.0/22 103.31.4.0/22 141.101.64.0/18 ' +
    '108.162.192.0/18 190.93.240.0/20 188.114.96.0/20 197.234.240.0/22 198.41.128.0/17 ' +
    '162.158.0.0/15 104.16.0.0/13 104.24.0.0/14 172.64.0.0/13 131.0.72.0/22 2400:cb00::/32 ' +
    '2606:4700::/32 2803:f800::/32 2405:b500::/32 2405:8100::/32 2a06:98c0::/29 2c0f:f248::/32',
};

/** The client's address. Forwarded (RFC 7239) is not read: some routers let clients forge it. */
export function readAddress({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  return cleanAddress(ip) ?? cleanAddress(socket.remoteAddress) ?? '';
}

/** Applies CLIENT_ADDRESS_HEADER of a trusted proxy: some platforms list no other proxies. */
export function createAddressCopier(config: Readonly<Config>): (request: IncomingMessage) => void {
  const name = config.CLIENT_ADDRESS_HEADER?.toLowerCase();
  const isProxy = trustProxies(config.TRUST_PROXY);
  return ({ headers, socket }) => {
    if (name && headers[name] && isProxy(`${socket.remoteAddress}`))
      headers['x-forwarded-for'] = `${headers[name]}`;
  };
}

/** Fastify's `trustProxy`. The connection's address has distance 0. Throws on an invalid list. */
export function trustProxies(list: string): (address: string, distance?: number) => boolean {
  const proxies = new BlockList();
  for (const item of list.split(',').map((text) => text.trim()))
    for (const range of RANGES[item]?.split(' ') ?? [item]) addRange(proxies, range);
  if (proxies.check('0.0.0.0') && proxies.check('255.255.255.255'))
    throw new Error('The list trusts every address');
  return (text, distance = 0) => {
    const address = distance < MAX_PROXIES ? cleanAddress(text) : undefined;
    return address !== undefined && proxies.check(address, readFamily(address));
  };
}

function addRange(proxies: BlockList, range: string): void {
  const [, address = '', bits] = /^([^/]+)(?:\/(0|[1-9]\d*))?$/.exec(range) ?? [];
  if (bits) proxies.addSubnet(address, Number(bits), readFamily(address));
  else proxies.addAddress(address, readFamily(address));
}

function readFamily(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6';
}

/** An address without port, brackets, quotes and zone. Undefined if it is not an address. */
export function cleanAddress(text = ''): string | undefined {
  // The form of a connection's address, which every request has: this is ten times faster.
  const plain = text.startsWith('::ffff:') ? text.slice('::ffff:'.length) : text;
  if (isIPv4(plain)) return plain;
  const { ipv4, ipv6 } = PROXY_FORM.exec(text)?.groups ?? {};
  const address = ipv4 ?? ipv6 ?? '';
  if (isIPv4(address)) return address;
  if (!isIPv6(address)) return undefined;
  // Node writes each address in one form, and an IPv4 address in IPv6 with dots.
  const { address: written } = new SocketAddress({ address, family: 'ipv6' });
  return written.replace(/^::ffff:(?=\d+\.)/, '');
}
