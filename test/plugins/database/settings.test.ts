import { test } from 'tap';
import { readConfig } from '../../../src/app.ts';
import { buildTestApp, DOWN, type Environment, REQUIRED } from '../../helper.ts';

async function readMessage(environment: Environment): Promise<string> {
  return readConfig({ ...REQUIRED, ...environment }).then(
    () => 'valid',
    (error) => error.message,
  );
}

test('Of the settings of the database, DATABASE_URL alone is required', async (t) => {
  const config = await readConfig(REQUIRED);
  t.match(config, { DATABASE_URL: DOWN, DATABASE_POOL_MAX: 10 });
  const tls: 'off' | 'verify' | 'no-verify' | undefined = config.DATABASE_TLS;
  t.equal(tls, undefined);
});

test('A missing DATABASE_URL names the commands that supply it', async (t) => {
  for (const DATABASE_URL of ['', ' ']) {
    const message = await readMessage({ DATABASE_URL });
    t.match(
      message,
      'DATABASE_URL is missing; expected a postgres://, postgresql:// or pglite: URL',
    );
    t.match(message, 'npm run dev');
    t.match(message, 'heroku addons:create heroku-postgresql');
  }
});

test('A DATABASE_URL of another scheme is refused, and not printed', async (t) => {
  const urls = [
    'mysql://root:hunter2@db/app',
    'postgres',
    'hunter2',
    'postgres://',
    'pglite:',
    'postgres://a:hunter2@ b/',
  ];
  for (const DATABASE_URL of urls) {
    const message = await readMessage({ DATABASE_URL });
    t.match(message, 'expected a postgres://, postgresql:// or pglite: URL', DATABASE_URL);
    t.notMatch(message, /hunter2|root|mysql/, 'does not print the value');
  }
});

test('A URL that cannot be parsed is refused together with other mistakes', async (t) => {
  for (const url of ['postgres://u:hunter2@db:65536/app', 'postgres://u:hunter2@d<b/app']) {
    const message = await readMessage({ DATABASE_URL: url, PORT: 'x' });
    t.match(
      message,
      /PORT is "x"[\s\S]*DATABASE_URL is set to something else; expected a postgres/,
    );
    t.notMatch(message, 'hunter2');
  }
  // The host would be a folder at the root of the file system.
  for (const DATABASE_URL of ['pglite://memory', 'pglite:/', 'pglite://', 'pglite:///'])
    t.match(await readMessage({ DATABASE_URL }), 'DATABASE_URL is set to something', DATABASE_URL);
  t.equal(await readMessage({ DATABASE_URL: 'pglite:///tmp/database' }), 'valid');
});

test('DATABASE_DIRECT_URL is a server, never the embedded database', async (t) => {
  for (const DATABASE_URL of ['pglite:memory', 'pglite:.data/100%', DOWN])
    t.equal(await readMessage({ DATABASE_URL, DATABASE_DIRECT_URL: DOWN }), 'valid');
  t.match(
    await readMessage({ DATABASE_DIRECT_URL: 'pglite:memory' }),
    'DATABASE_DIRECT_URL is set to something else; expected a postgres:// or postgresql:// URL with',
  );
});

test('A bad value is refused with the accepted ones', async (t) => {
  for (const DATABASE_TLS of ['on', 'true', 'VERIFY'])
    t.match(await readMessage({ DATABASE_TLS }), /DATABASE_TLS is .*off, verify or no-verify/);
  for (const DATABASE_POOL_MAX of ['0', '10001', 'many'])
    t.match(
      await readMessage({ DATABASE_POOL_MAX }),
      /DATABASE_POOL_MAX is .*an integer from 1 to 10000/,
    );
});

for (const port of ['0', '65536', '-1', 'abc'])
  test(`The port ${port} in a query is refused before the app listens`, async (t) => {
    const environment = { DATABASE_URL: `${DOWN}?port=${port}` };
    await t.rejects(buildTestApp(t, environment), {
      name: 'OperatorError',
      message: /DATABASE_URL or DATABASE_DIRECT_URL cannot be used: its port must be from 1 to/,
    });
  });

test('A missing certificate file is named and ends the process before it listens', async (t) => {
  const wrong = `${DOWN}?sslrootcert=/none.pem`;
  for (const environment of [{ DATABASE_URL: wrong }, { ...REQUIRED, DATABASE_DIRECT_URL: wrong }])
    await t.rejects(buildTestApp(t, environment), {
      name: 'OperatorError',
      message: /DATABASE_DIRECT_URL cannot be used: .*none\.pem/,
    });
});
