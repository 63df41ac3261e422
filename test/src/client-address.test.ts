import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'tap';
import { cleanAddress, readAddress, trustProxies } from '../../src/client-address.ts';
import { buildAppWithRoutes, DOWN, type Environment, startProcess } from '../helper.ts';

/** The forms that proxies write, and their address. */
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
  '0:0:0:0:0:ffff:cb00:7109': '203.0.113.9',
  '2001:DB8:0:0::1': '2001:db8::1',
  '::ffff:1': '::255.255.0.1',
  '::1': '::1',
  '::ffff:2001:db8::1': undefined,
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

test("A client's address is read in every form that proxies write", async (t) => {
  for (const [form, address] of Object.entries(FORMS)) t.equal(cleanAddress(form), address, form);
});

test('The client is the peer if the proxies send no address', async (t) => {
  const read = (ip: string, remoteAddress?: string) =>
    readAddress({ ip, socket: { remoteAddress } as never });
  t.equal(read('203.0.113.9:51234', '10.1.2.3'), '203.0.113.9');
  t.equal(read('unknown', '::ffff:10.1.2.3'), '10.1.2.3');
  t.equal(read('unknown'), '');
});

const CLOUDFLARE = ['173.245.48.1', '104.27.255.255', '172.71.0.1', '2606:4700::1', '2a06:98c7::1'];

/** Peer addresses by the TRUST_PROXY that trusts them. */
const TRUSTED: Record<string, string[]> = {
  loopback: ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'],
  linklocal: ['169.254.1.1', 'fe80::1', 'fe80::1%eth0'],
  uniquelocal: ['10.1.2.3', '172.31.0.1', '192.168.1.1', '100.64.0.2', 'fdaa::3', '10.1.2.3:4444'],
  cloudflare: CLOUDFLARE,
  '198.51.100.0/24, 2001:db8::1': ['198.51.100.9', '[2001:db8::1]:443'],
};

const STRANGERS = ['203.0.113.9', '172.32.0.1', '100.128.0.1', '2001:db8::2', 'unknown', ''];

for (const [list, addresses] of Object.entries(TRUSTED)) {
  test(`TRUST_PROXY=${list} trusts its own addresses alone`, async (t) => {
    const isTrusted = trustProxies(list);
    for (const address of addresses) t.ok(isTrusted(address), address);
    for (const address of STRANGERS) t.notOk(isTrusted(address), address);
    const others = Object.entries(TRUSTED).filter(([other]) => other !== list);
    for (const address of others.flatMap(([, others]) => others)) t.notOk(isTrusted(address));
  });
}

const ROUTE = "export default async (app) => app.get('/ip', async ({ ip }) => ip);";

test('CLIENT_ADDRESS_HEADER replaces X-Forwarded-For if a trusted proxy sends it', async (t) => {
  const ask = async (environment: Environment, remoteAddress: string, headers = {}) => {
    const { app, lines } = await buildAppWithRoutes(t, ROUTE, {
      CLIENT_ADDRESS_HEADER: 'X-Real-IP',
      ...environment,
    });
    const forwarded = { 'x-forwarded-for': '198.51.100.1, 152.233.33.7' };
    const answer = await app.inject({
      url: '/ip',
      remoteAddress,
      headers: { ...forwarded, ...headers },
    });
    t.equal(lines.at(-1)?.address, answer.body, 'in the log too');
    return answer.body;
  };
  const real = { 'x-real-ip': '203.0.113.9' };
  t.equal(await ask({}, '100.64.0.3', real), '203.0.113.9');
  t.equal(
    await ask({}, '198.51.100.7', real),
    '198.51.100.7',
    "an untrusted peer's header is ignored",
  );
  t.equal(await ask({}, '100.64.0.3'), '152.233.33.7', 'without the header');
  t.equal(await ask({ CLIENT_ADDRESS_HEADER: '' }, '100.64.0.3', real), '152.233.33.7');
});

test('GET /ip follows a chain of 10 proxies, not one of 1,000', async (t) => {
  const { app } = await buildAppWithRoutes(t, ROUTE);
  const ask = async (proxies: number) => {
    const chain = `203.0.113.9${', 10.0.0.1'.repeat(proxies)}`;
    return (await app.inject({ url: '/ip', headers: { 'x-forwarded-for': chain } })).body;
  };
  t.equal(await ask(10), '203.0.113.9');
  t.equal(await ask(1_000), '10.0.0.1');
});

test('A connection that is reset before it is accepted is closed', async (t) => {
  const web = await startProcess(t, {
    entry: 'web',
    source: 'src',
    environment: { DATABASE_URL: DOWN, SHUTDOWN_DELAY_MS: '0' },
  });
  web.signal('SIGSTOP');
  const socket = connect(Number(new URL(web.url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n', () => socket.resetAndDestroy());
  await once(socket, 'close');
  web.signal('SIGCONT');
  t.equal((await fetch(`${web.url}/nowhere`)).status, 404);
  web.signal('SIGTERM');
  t.equal(await web.exited, 0);
  // Its address is unknown, so that the log and the rate limit would have an empty one.
  const requests = web.lines.filter(({ msg }) => msg === 'request');
  t.match(requests, [{ path: '/nowhere', address: '127.0.0.1' }]);
});
