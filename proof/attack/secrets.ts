import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLogger } from '../../src/logger.ts';
import { PostgresServer } from '../postgres.ts';
import { startRedis } from '../redis.ts';
import type { Tally } from '../tally.ts';
import { type Leak, leaks, type Servers } from './leaks.ts';

/** The minimum number of secrets. */
const LEAST = 60;

/** Logs real errors and common mistakes. No log line may contain a secret. */
export async function proveSecrets(tally: Tally): Promise<void> {
  await using postgres = await PostgresServer.create();
  await using redis = await startRedis();
  const server = createServer(({ url = '' }, answer) => {
    const [, query = ''] = url.split('?');
    answer.writeHead(401, { 'set-cookie': query }).end(query);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const servers = {
    postgresUrl: postgres.url,
    redisUrl: redis.url,
    httpUrl: `http://127.0.0.1:${port}`,
  };
  for (const [index, [name, leak]] of leaks.entries())
    await tally.check(`The log hides secrets of ${name}`, () => proveSecret(leak, index, servers));
  await tally.check(`There are at least ${LEAST} secrets`, () => assert(leaks.length >= LEAST));
  server.closeAllConnections();
  server.close();
}

/** @returns the message of the error, to show that it is the intended one */
async function proveSecret(leak: Leak, index: number, servers: Servers): Promise<string> {
  const secret = `hunter${index}-correct-horse-battery`;
  const lines: string[] = [];
  const logger = createLogger({ write: (line) => void lines.push(line) });
  const value = await Promise.resolve()
    .then(() => leak(secret, servers))
    .catch((error: unknown) => error);
  if (value instanceof Error) logger.error({ err: value }, value.message);
  else if (typeof value === 'string') logger.warn(value);
  else logger.info(value);
  const line = lines.join('');
  const forms = [
    secret,
    Buffer.from(`app:${secret}`).toString('base64'),
    [...Buffer.from(secret)].join(),
  ];
  assert(line.length > 0, 'Nothing was logged');
  for (const form of forms) assert(!line.includes(form), line);
  return `${JSON.parse(line).msg ?? ''}`.slice(0, 80);
}
