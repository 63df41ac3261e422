import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import type { Test } from 'tap';
import { createFolder, findFreePort, startProcess } from '../helper.ts';
import type { Certificate } from './certificate.ts';
import { findProgram, giveToServer, pickUser, ServerProcess } from './server-process.ts';

export interface PostgresOptions {
  /** The server supports TLS with this certificate. */
  certificate?: Certificate;
  /** The server refuses connections without TLS. */
  onlyTls?: boolean;
  /** Settings of postgresql.conf. */
  settings?: Record<string, string>;
}

export interface PostgresServer extends ServerProcess {
  url: string;
  /** Opens a superuser's session, until the end of the test. */
  connect(): Promise<pg.Client>;
}

/** Starts a PostgreSQL with the app's tables. */
export async function startPostgres(
  t: Test,
  options: PostgresOptions = {},
): Promise<PostgresServer> {
  const folder = await createFolder(t);
  giveToServer(folder);
  const data = path.join(folder, 'data');
  const authentication = ['-A', 'trust', '-U', 'poort', '-E', 'UTF8', '--locale', 'C', '--no-sync'];
  execFileSync(findProgram('initdb'), ['-D', data, ...authentication], {
    cwd: '/',
    stdio: 'pipe',
    ...pickUser(),
  });
  if (options.onlyTls)
    writeFileSync(path.join(data, 'pg_hba.conf'), 'hostssl all all 127.0.0.1/32 trust\n');
  const port = await findFreePort();
  const command = [
    findProgram('postgres'),
    '-D',
    data,
    '-p',
    `${port}`,
    ...describeSettings(options),
  ];
  const server = new ServerProcess(t, command, 'database system is ready to accept connections');
  await server.start();
  const url = `postgres://poort@127.0.0.1:${port}/postgres`;
  await release(t, options.onlyTls ? `${url}?sslmode=no-verify` : url);
  return Object.assign(server, { url, connect: () => connect(t, url) });
}

function describeSettings({ certificate, settings }: PostgresOptions): string[] {
  const all = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'off',
    ...(certificate && {
      ssl: 'on',
      ssl_cert_file: certificate.certificate,
      ssl_key_file: certificate.key,
    }),
    ...settings,
  };
  return Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/** Applies the migrations, as a platform does at each release. */
async function release(t: Test, url: string): Promise<void> {
  const { exited, lines } = await startProcess(t, {
    entry: 'release',
    environment: { DATABASE_URL: url },
  });
  if ((await exited) !== 0) throw new Error(`The release failed: ${JSON.stringify(lines)}`);
}

async function connect(t: Test, connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString });
  // Tests end the server during a session.
  client.on('error', () => undefined);
  await client.connect();
  t.teardown(() => client.end());
  return client;
}
