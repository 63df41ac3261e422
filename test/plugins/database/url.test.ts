import pg from 'pg';
import { test } from 'tap';
import { applyTls, POSTGRES_PATTERN } from '../../../plugins/database/url.ts';

const isValid = (url: string) => new RegExp(POSTGRES_PATTERN, 'u').test(url);

test('DATABASE_URL takes the forms that pg understands, with sockets and IPv6', (t) => {
  const urls = [
    'postgres://u:p@db.example:5432/app',
    'postgresql://u@localhost/app?sslmode=verify-full&application_name=x',
    'postgres://u:p@/app?host=/cloudsql/project:region:instance',
    'postgres://u@localhost/app?host=/run&application_name=a,b',
    'postgres:///app?host=/var/run/postgresql&user=u&password=p',
    'postgres://u:p@%2Fvar%2Frun%2Fpostgresql/app',
    'postgres://u:p%40ss%3A@[::1]:5432/app',
    'postgres://u:p,q@10.0.0.1/app',
    'postgres://u@db/app?application_name=what?&sslmode=verify-full',
    'postgres://db/app?application_name=what?&user=u',
    'postgres://u:p@localhost/app?host=/cloudsql/project:region:instance',
  ];
  for (const url of urls) t.ok(isValid(url), url);
  t.end();
});

test('DATABASE_URL without user, host or database, or with two hosts, is refused', (t) => {
  const urls = [
    'postgres://localhost/app',
    'postgres://:p@localhost/app',
    'postgres://@localhost/app',
    'postgres://u:p@localhost',
    'postgres://u:p@localhost/',
    'postgres://u:p@/app',
    'postgres:///app?host=/socket',
    'postgres://u:p@/app?host=',
    'postgres://u:p@one,two/app',
    'postgres://u:p@one:5432,two:5433/app',
    'postgres://u:p@/app?host=/one,/two&port=1',
    'postgres://u:p@one/app?host=two,three',
    'postgres://u:p@one/app?host=two%2Cthree',
    'postgres://u:p@/app?host=/one&host=/two',
    'postgres://u:p@one/app?host=/one&port=1&host=two',
    'postgres://localhost/app?application_name=what?user=u',
    'postgres://u@/app?application_name=what?host=db',
    'postgres://u:p@ss@localhost/app',
    'postgres://u:p#ss@localhost/app',
    'postgres://u:p ss@localhost/app',
    'postgres://u:p@localhost:port/app',
    'mysql://u:p@localhost/app',
  ];
  for (const url of urls) t.notOk(isValid(url), url);
  t.end();
});

test('DATABASE_URL is read as libpq reads it', (t) => {
  const read = (url: string) => new pg.Client({ connectionString: applyTls(url, undefined) });
  const socket = 'postgres://u:p@/app?host=/cloudsql/project:region:instance';
  t.match(read(socket), { host: '/cloudsql/project:region:instance', user: 'u', database: 'app' });
  t.match(read('postgres://u:p@%2Frun%2Fpg/app'), { host: '/run/pg', database: 'app' });
  t.match(read('postgres://u:p@[::1]:5433/app'), { host: '::1', port: 5433 });
  for (const name of ['a+b', 'a/b', 'a:b', 'a@b', 'a&b=c;d,e$f', 'a%40b', 'a b', 'ä']) {
    const encoded = encodeURIComponent(name);
    t.match(read(`postgres://u:p%2F@db/${encoded}`), { database: name, password: 'p/' }, encoded);
  }
  t.match(read('postgres:///app?host=/run/pg&user=u'), { host: '/run/pg', user: 'u' });
  t.match(read('postgres://db/app?user=u&password=a+b%2Bc%20d'), { password: 'a+b+c d' });
  t.match(read('postgres://db/app?password=a?b&user=u'), { password: 'a?b', user: 'u' });
  t.end();
});

test("sslrootcert=system uses Node's own certificate authorities", (t) => {
  const url = applyTls('postgres://u@db/app?sslrootcert=system', undefined);
  t.equal(url, 'postgres://u@db/app?sslmode=verify-full');
  t.end();
});

test('A question mark in a parameter ends nothing, and the last of two parameters counts', (t) => {
  const rows: [query: string, tls: string][] = [
    ['application_name=what?&sslmode=verify-full', 'application_name=what%3F&sslmode=verify-full'],
    ['sslmode=disable&sslmode=require', 'sslmode=verify-full'],
    ['host=/run&host=other', 'host=other'],
  ];
  for (const [query, expected] of rows)
    t.equal(applyTls(`postgres://u@db/app?${query}`, undefined), `postgres://u@db/app?${expected}`);
  for (const host of ['db/app?host=/run&host=other', '%2Frun/app?host=other'])
    t.match(applyTls(`postgres://u@${host}`, 'verify'), 'sslmode=verify-full', host);
  t.end();
});

test('A Unix socket never uses TLS', (t) => {
  const hosts = [
    'postgres://u@/app?host=/run',
    'postgres://u@%2Frun/app?',
    'postgres://%2Frun/app?user=u',
    'postgres://u@localhost/app?host=%2Frun',
  ];
  for (const host of hosts)
    for (const tls of ['verify', undefined] as const)
      t.match(applyTls(`${host}&sslmode=require`, tls), 'sslmode=disable', host);
  t.match(applyTls('postgres://u@db/app?user=%2Frun', 'verify'), 'sslmode=verify-full');
  t.end();
});

test('An sslmode that pg treats as verify-full is passed as that, without a warning', (t) => {
  for (const mode of ['prefer', 'require', 'verify-ca']) {
    const url = `postgres://u@db/app?sslmode=${mode}`;
    t.equal(applyTls(url, undefined), 'postgres://u@db/app?sslmode=verify-full');
    t.match(applyTls(`${url}&uselibpqcompat=true`, undefined), `sslmode=${mode}&`);
  }
  t.end();
});

test('ssl=false and ssl=0 switch TLS off, unless sslmode says something else', (t) => {
  const readSsl = (query: string) =>
    new pg.Client({ connectionString: applyTls(`postgres://u@db/app?${query}`, undefined) }).ssl;
  for (const query of 'ssl=false ssl=0 ssl=No ssl=off ssl=false&sslmode= sslmode=disable'.split(
    ' ',
  ))
    t.equal(readSsl(query), false, query);
  t.strictSame(readSsl('ssl=false&sslmode=require'), {});
  t.end();
});

test('DATABASE_TLS overrules the mode in the URL and keeps its files', (t) => {
  const url = 'postgres://u@db/app?sslmode=disable&ssl=0&sslrootcert=%2Fca.pem';
  t.equal(applyTls(url, 'verify'), 'postgres://u@db/app?sslmode=verify-full&sslrootcert=%2Fca.pem');
  t.match(applyTls(url, 'no-verify'), 'sslmode=no-verify&sslrootcert');
  t.match(applyTls(url, 'off'), 'sslmode=disable');
  t.end();
});

test('A certificate file that is not needed may be missing', (t) => {
  const files = 'sslrootcert=/none&sslcert=/none&sslkey=/none';
  const url = `postgres://u@localhost/app?${files}`;
  const read = (connectionString: string) => new pg.Client({ connectionString });
  t.match(read(applyTls(url, 'off')), { ssl: false });
  t.match(read(applyTls(`${url}&sslmode=disable`, undefined)), { ssl: false });
  t.throws(() => read(applyTls(url, 'verify')), { code: 'ENOENT' });
  t.end();
});
