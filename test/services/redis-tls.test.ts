import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { test } from 'tap';
import { buildTestApp, DOWN } from '../helper.ts';
import { createCertificate, createSignedCertificate } from './certificate.ts';
import { checkService, type Outcome } from './check-service.ts';
import { startRedis } from './redis-server.ts';

test('Redis with and without TLS, by the URL and REDIS_TLS', async (t) => {
  const certificate = await createCertificate(t);
  const password = 'hunter2@:/';
  const unknown = await createSignedCertificate(t);
  const servers = {
    plain: await startRedis(t, { password }),
    tls: await startRedis(t, { password, certificate }),
    signed: await startRedis(t, { password, certificate: unknown }),
  };
  const refused = /TLS to Redis failed: self-signed certificate.*REDIS_TLS=no-verify/;
  const { plain, tls, signed } = servers;
  const rows: [title: string, REDIS_URL: string, REDIS_TLS: string, outcome: Outcome][] = [
    ['plain server, redis:', plain.url, '', 'up'],
    ['plain server, redis:', plain.url, 'verify', 'up'],
    ['plain server, redis:', plain.url, 'no-verify', 'up'],
    ['plain server, rediss:', plain.url.replace('redis:', 'rediss:'), '', /ETIMEDOUT/],
    ['plain server, rediss:', plain.url.replace('redis:', 'rediss:'), 'no-verify', /ETIMEDOUT/],
    ['TLS server, rediss:', tls.url, '', refused],
    ['TLS server, rediss:', tls.url, 'verify', refused],
    ['TLS server, rediss:', tls.url, 'no-verify', 'up'],
    [
      'signed server, rediss:',
      signed.url,
      'verify',
      /unable to verify the first certificate.*REDIS_TLS=no-verify/,
    ],
    ['signed server, rediss:', signed.url, 'no-verify', 'up'],
    [
      'TLS server, redis:',
      tls.url.replace('rediss:', 'redis:'),
      '',
      /closed before Redis was ready|ECONNRESET|EPIPE/,
    ],
  ];
  for (const [title, REDIS_URL, REDIS_TLS, outcome] of rows) {
    await t.test(`${title} REDIS_TLS=${REDIS_TLS}: ${outcome}`, async (t) => {
      const environment = { DATABASE_URL: DOWN, REDIS_URL, REDIS_TLS };
      const started = await checkService(t, 'redis', environment, outcome);
      t.equal((await fetch(started.url)).status, 200, 'requests are served without it');
      t.notMatch(JSON.stringify(started.lines), 'hunter2');
    });
  }

  await t.test(
    "REDIS_TLS=verify connects if the machine trusts the certificate's authority",
    async (t) => {
      for (const [{ url }, { authority }] of [
        [tls, certificate],
        [signed, unknown],
      ] as const) {
        const trusting = { REDIS_TLS: 'verify', NODE_EXTRA_CA_CERTS: authority };
        await checkService(t, 'redis', { DATABASE_URL: DOWN, REDIS_URL: url, ...trusting }, 'up');
      }
    },
  );
});

test('TLS names the host of REDIS_URL, because several servers may share an address', async (t) => {
  const { certificate, key } = await createCertificate(t);
  const files = { cert: readFileSync(certificate), key: readFileSync(key) };
  const server = createServer(files).listen(0, 'localhost');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const { address, family, port } = server.address() as AddressInfo;
  const host = family === 'IPv6' ? `[${address}]` : address;
  for (const [name, expected] of [
    ['localhost', 'localhost'],
    [host, false],
  ]) {
    const connected = once(server, 'secureConnection');
    const environment = { REDIS_URL: `rediss://${name}:${port}/`, REDIS_TLS: 'no-verify' };
    const app = await buildTestApp(t, environment);
    const [socket] = await connected;
    t.equal(socket.servername, expected);
    await app.close();
    socket.destroy();
  }
});
