import { test } from 'tap';
import { startProcess, type TestProcess } from '../helper.ts';
import { createCertificate, createSignedCertificate } from './certificate.ts';
import { checkService, type Outcome } from './check-service.ts';
import { startPostgres } from './postgres-server.ts';

const REFUSED = /self-signed certificate.*DATABASE_TLS=no-verify/;
const UNKNOWN = /unable to verify the first certificate.*DATABASE_TLS=no-verify/;
const REQUIRED = /no pg_hba.conf entry.*DATABASE_TLS=no-verify/;
const WITHOUT_TLS = /does not support SSL.*DATABASE_TLS=off/;

test('contract 27: PostgreSQL with and without TLS, by DATABASE_TLS and by the URL', async (t) => {
  const certificate = await createCertificate(t);
  const signed = await createSignedCertificate(t);
  const servers = {
    plain: await startPostgres(t),
    both: await startPostgres(t, { certificate }),
    onlyTls: await startPostgres(t, { certificate, onlyTls: true }),
    signed: await startPostgres(t, { certificate: signed, onlyTls: true }),
  };
  const rows: [server: keyof typeof servers, tls: string, query: string, outcome: Outcome][] = [
    ['plain', '', '', 'up'],
    ['plain', 'off', '', 'up'],
    ['plain', 'verify', '', WITHOUT_TLS],
    ['plain', 'no-verify', '', WITHOUT_TLS],
    ['both', '', '', 'up'],
    ['both', 'off', '', 'up'],
    ['both', 'verify', '', REFUSED],
    ['both', 'no-verify', '', 'up'],
    ['onlyTls', '', '', REQUIRED],
    ['onlyTls', 'off', '', REQUIRED],
    ['onlyTls', 'verify', '', REFUSED],
    ['onlyTls', 'no-verify', '', 'up'],
    ['signed', 'verify', '', UNKNOWN],
    ['signed', 'no-verify', '', 'up'],
    // The URL counts only if DATABASE_TLS is not set.
    ['onlyTls', '', '?sslmode=no-verify', 'up'],
    ['onlyTls', '', '?sslmode=verify-full', REFUSED],
    ['onlyTls', '', '?sslmode=require', REFUSED],
    ['onlyTls', '', '?sslmode=disable', REQUIRED],
    ['onlyTls', 'no-verify', '?sslmode=disable', 'up'],
    ['onlyTls', 'no-verify', '?sslmode=verify-full', 'up'],
    ['onlyTls', 'verify', '?sslmode=no-verify', REFUSED],
    ['onlyTls', 'verify', '?sslmode=disable', REFUSED],
    ['onlyTls', 'off', '?sslmode=require', REQUIRED],
    ['plain', 'off', '?sslmode=require', 'up'],
    ['plain', '', '?sslmode=require', WITHOUT_TLS],
  ];
  for (const [server, DATABASE_TLS, query, outcome] of rows) {
    const title = `${server} server, DATABASE_TLS=${DATABASE_TLS}, URL ${query}: ${outcome}`;
    await t.test(title, async (t) => {
      const environment = { DATABASE_URL: servers[server].url + query, DATABASE_TLS };
      const { url } = await checkService(t, 'database', environment, outcome);
      t.equal((await fetch(`${url}/fixture/database`)).status, outcome === 'up' ? 200 : 503);
    });
  }

  await t.test('NODE_TLS_REJECT_UNAUTHORIZED=0 does not overrule a check', async (t) => {
    const NODE_TLS_REJECT_UNAUTHORIZED = '0';
    for (const query of ['', '?sslmode=require', '?ssl=true']) {
      const DATABASE_TLS = query === '' ? 'verify' : '';
      const DATABASE_URL = servers.onlyTls.url + query;
      const environment = { DATABASE_URL, DATABASE_TLS, NODE_TLS_REJECT_UNAUTHORIZED };
      await checkService(t, 'database', environment, REFUSED);
    }
  });

  await t.test(
    "DATABASE_TLS=verify connects if the machine trusts the certificate's authority",
    async (t) => {
      for (const [server, { authority }] of [
        [servers.onlyTls, certificate],
        [servers.signed, signed],
      ] as const) {
        const trusting = { DATABASE_TLS: 'verify', NODE_EXTRA_CA_CERTS: authority };
        await checkService(t, 'database', { ...trusting, DATABASE_URL: server.url }, 'up');
      }
    },
  );

  await t.test('DATABASE_TLS=verify accepts the private authority in the URL', async (t) => {
    for (const [server, { authority }] of [
      [servers.onlyTls, certificate],
      [servers.signed, signed],
    ] as const) {
      const url = `${server.url}?sslrootcert=${authority}`;
      await checkService(t, 'database', { DATABASE_TLS: 'verify', DATABASE_URL: url }, 'up');
    }
    const stranger = `${servers.signed.url}?sslrootcert=${certificate.authority}`;
    const environment = { DATABASE_TLS: 'verify', DATABASE_URL: stranger };
    await checkService(t, 'database', environment, UNKNOWN);
  });

  await t.test('DATABASE_TLS=verify refuses a certificate for another name', async (t) => {
    // The certificate has the names localhost and 127.0.0.1, not 127.1.
    const DATABASE_URL = servers.onlyTls.url.replace('127.0.0.1', '127.1');
    const trusting = { DATABASE_TLS: 'verify', NODE_EXTRA_CA_CERTS: certificate.authority };
    await checkService(
      t,
      'database',
      { ...trusting, DATABASE_URL },
      /altnames.*DATABASE_TLS=no-verify/,
    );
  });

  await t.test('A release refuses a certificate that cannot be verified', async (t) => {
    const environment = { DATABASE_URL: servers.onlyTls.url, DATABASE_TLS: 'verify' };
    const { exited, lines } = await startProcess(t, { entry: 'release', environment });
    t.equal(await exited, 1);
    t.match(lines.at(-1), { level: 60, err: { message: REFUSED } });
  });

  await t.test('Another database is attached by its URL alone', async (t) => {
    const visit = async ({ url }: TestProcess) => {
      const answer = await fetch(`${url}/fixture/database/visits`, { method: 'POST' });
      return ((await answer.json()) as { visits: number }).visits;
    };
    const urls = [servers.plain.url, `${servers.onlyTls.url}?sslmode=no-verify`];
    for (const visits of [1, 2]) {
      for (const DATABASE_URL of urls) {
        t.equal(await visit(await checkService(t, 'database', { DATABASE_URL }, 'up')), visits);
      }
    }
  });
});
