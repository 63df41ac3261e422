import type { PGlite } from '@electric-sql/pglite';
import type { FastifyInstance } from 'fastify';
import { type Dialect, PostgresDialect } from 'kysely';
import type { Pool } from 'pg';
import { createEmbeddedDatabase } from './embedded-database.ts';

export interface Driver {
  dialect: Dialect;
  /** The app's connections. Undefined for the embedded database, which has only one. */
  pool?: Pool;
  /**
   * Opens separate connections that bypass a pooler. `statementTimeoutMs` is in milliseconds, and 0
   * means no limit.
   */
  openPool?(max: number, statementTimeoutMs?: number): Pool;
}

/** Loads only the driver for the scheme of DATABASE_URL. */
export async function pickDriver(
  { config, log }: FastifyInstance,
  prepare: (pglite: PGlite) => Promise<string[]>,
): Promise<Driver> {
  const { DATABASE_URL: url, DATABASE_DIRECT_URL: directUrl = url, DATABASE_TLS: tls } = config;
  // Connecting (20 %), a statement (60 %) and its cancelling (10 %) fit into REQUEST_TIMEOUT_MS.
  const connectionTimeoutMillis = Math.min(5_000, config.REQUEST_TIMEOUT_MS * 0.2);
  if (url.startsWith('pglite:'))
    return { dialect: createEmbeddedDatabase(url, log, prepare, connectionTimeoutMillis) };
  const { createPool } = await import('./postgres.ts');
  const timeoutMs = config.REQUEST_TIMEOUT_MS * 0.6;
  const onIdleError = (err: Error) => log.warn({ err }, 'A connection to the database broke');
  const open = (url: string, max: number, query_timeout: number) =>
    createPool(url, tls, { max, connectionTimeoutMillis, query_timeout }, onIdleError);
  const pool = open(url, config.DATABASE_POOL_MAX, timeoutMs);
  return {
    dialect: new PostgresDialect({ pool }),
    pool,
    openPool: (max, statementTimeoutMs = timeoutMs) => open(directUrl, max, statementTimeoutMs),
  };
}
