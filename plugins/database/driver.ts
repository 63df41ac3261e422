import { AsyncLocalStorage } from 'node:async_hooks';
import type { FastifyInstance } from 'fastify';
import type { PoolConfig } from 'pg';
import { createEmbeddedDatabase } from './embedded-database.ts';
import type { PrepareStep } from './index.ts';
import { createDialect } from './postgres-dialect.ts';
import { liftLimits } from './release-session.ts';

/** Loads only one driver. `pool` connects to DATABASE_URL, the others past a pooler. */
export async function pickDriver({ config, log }: FastifyInstance, prepare: PrepareStep) {
  const { DATABASE_URL: url, DATABASE_DIRECT_URL: directUrl = url, DATABASE_TLS: tls } = config;
  if (url.startsWith('pglite:')) return { dialect: createEmbeddedDatabase(url, log, prepare) };
  const { createPool } = await import('./postgres.ts');
  // Connecting (20 %), a statement (60 %) and its cancelling (10 %) fit into REQUEST_TIMEOUT_MS.
  const connectionTimeoutMillis = Math.min(5_000, config.REQUEST_TIMEOUT_MS * 0.2);
  const timeoutMs = config.REQUEST_TIMEOUT_MS * 0.6;
  // Not in the context of the request that opened the connection.
  const onIdleError = AsyncLocalStorage.bind((err: Error) =>
    log.warn({ err }, 'A connection to the database broke'),
  );
  const open = (server: string, max: number, options: PoolConfig = { query_timeout: timeoutMs }) =>
    createPool(server, tls, { max, connectionTimeoutMillis, ...options }, onIdleError);
  const pool = open(url, config.DATABASE_POOL_MAX);
  return {
    dialect: createDialect(pool),
    pool,
    spare: open(directUrl, 1),
    // One connection has the lock, and a step may use two: pg-boss builds indexes while it works.
    openReleasePool: () => open(directUrl, 3, { onConnect: liftLimits }),
  };
}
