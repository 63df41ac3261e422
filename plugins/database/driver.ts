import type { PGlite } from '@electric-sql/pglite';
import type { FastifyInstance } from 'fastify';
import type { Dialect } from 'kysely';
import type { Pool } from 'pg';
import { createEmbeddedDatabase } from './embedded-database.ts';
import type { SqlError } from './translate-error.ts';

export interface Connections {
  dialect: Dialect;
  pool?: Pool;
}

interface ConnectOptions {
  /** Whether to pass by a pooler. */
  isDirect?: boolean;
  /** The most connections. */
  max: number;
  /** How long a statement may take, in milliseconds; 0 forever. */
  statementTimeoutMs: number;
}

export interface Driver {
  connect(options: ConnectOptions): Connections;
  isSqlError(error: Error): error is SqlError;
}

/** Loads the driver that the URL's scheme asks for, and only that one. */
export async function pickDriver(
  { config, log }: FastifyInstance,
  prepare: (pglite: PGlite) => Promise<string[]>,
): Promise<Driver> {
  const { DATABASE_URL: url, DATABASE_DIRECT_URL: directUrl = url, DATABASE_TLS: tls } = config;
  if (url.startsWith('pglite:')) {
    const database = createEmbeddedDatabase(url, log, prepare);
    return { connect: () => database, isSqlError: database.isSqlError };
  }
  const { createPool, createPostgresDialect, isSqlError } = await import('./postgres.ts');
  const connectTimeoutMs = Math.min(5_000, config.REQUEST_TIMEOUT_MS * 0.2);
  const onIdleError = (err: Error) => log.warn({ err }, 'A connection to the database broke');
  return {
    connect: ({ isDirect, ...limits }) => {
      const address = { url: isDirect ? directUrl : url, tls, connectTimeoutMs, onIdleError };
      const pool = createPool({ ...address, ...limits });
      return { pool, dialect: createPostgresDialect(pool) };
    },
    isSqlError,
  };
}
