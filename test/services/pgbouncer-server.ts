import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Test } from 'tap';
import { createFolder, findFreePort } from '../helper.ts';
import type { PostgresServer } from './postgres-server.ts';
import { giveToServer, ServerProcess } from './server-process.ts';

/** Debian's path, which is not on each user's PATH. */
const PGBOUNCER = '/usr/sbin/pgbouncer';

/**
 * Starts a pooler with two connections per database.
 *
 * @returns its URL
 */
export async function startPgBouncer(
  t: Test,
  { url }: PostgresServer,
  mode: 'transaction' | 'statement' = 'transaction',
): Promise<string> {
  const folder = await createFolder(t);
  const port = await findFreePort();
  const file = path.join(folder, 'pgbouncer.ini');
  const lines = [
    '[databases]',
    `* = host=127.0.0.1 port=${new URL(url).port} user=poort`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    `pool_mode = ${mode}`,
    'default_pool_size = 2',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  for (const name of [folder, file]) giveToServer(name);
  await new ServerProcess(t, [PGBOUNCER, file], 'process up').start();
  return `postgres://poort@127.0.0.1:${port}/postgres`;
}
