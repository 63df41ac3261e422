import { test } from 'tap';
import { trustProxies } from '../../src/trusted-proxies.ts';

const CLOUDFLARE = ['173.245.48.1', '104.27.255.255', '172.71.0.1', '2606:4700::1', '2a06:98c7::1'];

/** Addresses of peers, by the list that trusts them. */
const TRUSTED: Record<string, string[]> = {
  loopback: ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'],
  linklocal: ['169.254.1.1', 'fe80::1', 'fe80::1%eth0'],
  uniquelocal: ['10.1.2.3', '172.31.0.1', '192.168.1.1', '100.64.0.2', 'fdaa::3', '10.1.2.3:4444'],
  cloudflare: CLOUDFLARE,
  '198.51.100.0/24, 2001:db8::1': ['198.51.100.9', '[2001:db8::1]:443'],
};

const STRANGERS = ['203.0.113.9', '172.32.0.1', '100.128.0.1', '2001:db8::2', 'unknown', ''];

for (const [list, addresses] of Object.entries(TRUSTED)) {
  test(`TRUST_PROXY=${list} trusts these, and nobody else`, async (t) => {
    const isTrusted = trustProxies(list);
    for (const address of addresses) t.ok(isTrusted(address), address);
    for (const address of STRANGERS) t.notOk(isTrusted(address), address);
    const others = Object.entries(TRUSTED).filter(([other]) => other !== list);
    for (const address of others.flatMap(([, others]) => others)) t.notOk(isTrusted(address));
  });
}

test('A flood of addresses changes nothing', async (t) => {
  const isTrusted = trustProxies('uniquelocal');
  for (let count = 0; count < 3_000; count++) {
    t.ok(isTrusted(`10.1.${count >> 8}.${count & 255}`));
    t.notOk(isTrusted(`11.1.${count >> 8}.${count & 255}`));
  }
});
