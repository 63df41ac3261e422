import { test } from 'tap';
import { cleanAddress, readAddress } from '../../src/client-address.ts';

/** What proxies write, and the address in it. */
const FORMS: Record<string, string | undefined> = {
  '203.0.113.9': '203.0.113.9',
  '203.0.113.9:51234': '203.0.113.9',
  '2001:db8::1': '2001:db8::1',
  '[2001:db8::1]': '2001:db8::1',
  '[2001:db8::1]:443': '2001:db8::1',
  '"[2001:db8::1]:443"': '2001:db8::1',
  'fe80::1%eth0': 'fe80::1',
  '[fe80::1%eth0]:80': 'fe80::1',
  '::ffff:203.0.113.9': '203.0.113.9',
  '::FFFF:cb00:7109': '203.0.113.9',
  '[::ffff:203.0.113.9]:443': '203.0.113.9',
  '::ffff:10.9': undefined,
  '203.0.113': undefined,
  '203.0.113.9:': undefined,
  '203.0.113.256': undefined,
  '203.0.113.9:80:90': undefined,
  unknown: undefined,
  _hidden: undefined,
  'for=203.0.113.9': undefined,
  '': undefined,
};

test('An address is read in every form that proxies write', async (t) => {
  for (const [form, address] of Object.entries(FORMS)) t.equal(cleanAddress(form), address, form);
});

test('Where the proxies tell no address, the client is the peer', async (t) => {
  const read = (ip: string, remoteAddress?: string) =>
    readAddress({ ip, socket: { remoteAddress } as never });
  t.equal(read('203.0.113.9:51234', '10.1.2.3'), '203.0.113.9');
  t.equal(read('unknown', '::ffff:10.1.2.3'), '10.1.2.3');
  t.equal(read('unknown'), '');
});
