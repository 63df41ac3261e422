import { type Test, test } from 'tap';
import { type Environment, poll, startProcess, type TestProcess } from '../helper.ts';
import { createCertificate, createSignedCertificate } from './certificate.ts';
import { startPostgres } from './postgres-server.ts';
import { startRedis } from './redis-server.ts';

/** What an attached service comes to: it answers, or it is away for this reason. */
type Outcome = 'up' | RegExp;

const REFUSED = /self-signed certificate.*DATABASE_TLS=no-verify/;
const UNKNOWN = /unable to verify the first certificate.*DATABASE_TLS=no-verify/;
const REQUIRED = /no pg_hba.conf entry.*DATABASE_TLS=no-verify/;
const WITHOUT_TLS = /does not support SSL.*DATABASE_TLS=off/;

interface Health {
  status: string;
  services: Record<string, { status: 'up' | 'down' }>;
}

async function readHealth({ url }: TestProcess): Promise<Health> {
  const answer = await fetch(`${url}/health/ready`);
  return (await answer.json()) as Health;
}

/** Starts the app with this environment and checks what readiness and the log say of the service. */
async function check(t: Test, service: string, environment: Environment, outcome: Outcome): Promise<TestProcess> {
  const started = await startProcess(t, { entry: 'web', environment });
  t.match(started.url, 'http', 'a service that is away does not keep the app from starting');
  const expected = outcome === 'up' ? 'up' : 'down';
  const isExpected = async () => (await readHealth(started)).services[service]?.status === expected;
  const isExplained = () => outcome === 'up' || started.lines.some(({ err }) => outcome.test((err as Error)?.message));
  // Asked again where a check was late, or came before the service had failed.
  await poll(async () => (await isExpected()) && isExplained());
  t.pass(`${service} is ${expected}`);
  return started;
}

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
    // What the URL says counts where DATABASE_TLS says nothing, and only there.
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
      const { url } = await check(t, 'database', environment, outcome);
      t.equal((await fetch(`${url}/notes`)).status, outcome === 'up' ? 200 : 503);
    });
  }

  await t.test('DATABASE_TLS=verify connects where the machine trusts who signed the certificate', async (t) => {
    for (const [server, { authority }] of [
      [servers.onlyTls, certificate],
      [servers.signed, signed],
    ] as const) {
      const trusting = { DATABASE_TLS: 'verify', NODE_EXTRA_CA_CERTS: authority };
      await check(t, 'database', { ...trusting, DATABASE_URL: server.url }, 'up');
    }
  });

  await t.test('DATABASE_TLS=verify fails closed where the certificate is for another name', async (t) => {
    // The certificate's other name is localhost, and 127.0.0.1 is neither of them in this form.
    const DATABASE_URL = servers.onlyTls.url.replace('127.0.0.1', '127.1');
    const trusting = { DATABASE_TLS: 'verify', NODE_EXTRA_CA_CERTS: certificate.authority };
    await check(t, 'database', { ...trusting, DATABASE_URL }, /altnames.*DATABASE_TLS=no-verify/);
  });

  await t.test('A release fails closed as well', async (t) => {
    const environment = { DATABASE_URL: servers.onlyTls.url, DATABASE_TLS: 'verify' };
    const { exited, lines } = await startProcess(t, { entry: 'release', environment });
    t.equal(await exited, 1);
    t.match(lines.at(-1), { level: 60, err: { message: REFUSED } });
  });

  await t.test('A database is exchanged by its URL alone', async (t) => {
    const post = async ({ url }: TestProcess, title: string) => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${url}/notes`, { method: 'POST', headers, body: JSON.stringify({ title }) });
      t.equal(answer.status, 201);
    };
    const list = async ({ url }: TestProcess) => {
      const { items } = (await (await fetch(`${url}/notes`)).json()) as { items: { title: string }[] };
      return items.map(({ title }) => title);
    };
    const urls = [servers.plain.url, `${servers.onlyTls.url}?sslmode=no-verify`];
    for (const DATABASE_URL of urls) {
      const started = await check(t, 'database', { DATABASE_URL }, 'up');
      t.strictSame(await list(started), []);
      await post(started, DATABASE_URL);
    }
    for (const DATABASE_URL of urls) {
      t.strictSame(await list(await check(t, 'database', { DATABASE_URL }, 'up')), [DATABASE_URL]);
    }
  });
});

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
    ['signed server, rediss:', signed.url, 'verify', /unable to verify the first certificate.*REDIS_TLS=no-verify/],
    ['signed server, rediss:', signed.url, 'no-verify', 'up'],
    ['TLS server, redis:', tls.url.replace('rediss:', 'redis:'), '', /closed before Redis was ready|ECONNRESET|EPIPE/],
  ];
  const database = await startPostgres(t);
  for (const [title, REDIS_URL, REDIS_TLS, outcome] of rows) {
    await t.test(`${title} REDIS_TLS=${REDIS_TLS}: ${outcome}`, async (t) => {
      const environment = { DATABASE_URL: database.url, REDIS_URL, REDIS_TLS };
      const started = await check(t, 'redis', environment, outcome);
      t.equal((await fetch(`${started.url}/notes`)).status, 200, 'requests are served without it');
      t.notMatch(JSON.stringify(started.lines), 'hunter2');
    });
  }

  await t.test('REDIS_TLS=verify connects where the machine trusts who signed the certificate', async (t) => {
    for (const [{ url }, { authority }] of [
      [tls, certificate],
      [signed, unknown],
    ] as const) {
      const trusting = { REDIS_TLS: 'verify', NODE_EXTRA_CA_CERTS: authority };
      await check(t, 'redis', { DATABASE_URL: database.url, REDIS_URL: url, ...trusting }, 'up');
    }
  });
});
