import type { FastifyBaseLogger } from 'fastify';
import { Kysely, PostgresDialect } from 'kysely';
import type { Pool } from 'pg';
import { OperatorError } from '../../src/operator-error.ts';
import { applyMigrations } from './migrate.ts';
import { runLocked } from './release-lock.ts';
import type { SqlError } from './translate-error.ts';

/** The SQLSTATE of a pooler's refusal, such as PgBouncer's of a transaction in statement mode. */
const PROTOCOL_VIOLATION = '08P01';

/** Applies the migrations, then runs `prepare` for libraries. Resolves with what was done. */
export async function releaseDatabase(
  pool: Pool,
  migrations: string,
  log: FastifyBaseLogger,
  prepare: (pool: Pool) => Promise<string[]>,
): Promise<string[]> {
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  const run = async () => [
    ...(await applyMigrations(db, migrations, log)),
    ...(await runLocked(db, log, () => prepare(pool))),
  ];
  return run()
    .catch(rejectPooler)
    .finally(() => db.destroy());
}

function rejectPooler(cause: SqlError): never {
  if (cause.code !== PROTOCOL_VIOLATION) throw cause;
  const remedy = 'If DATABASE_URL is a pooler, set DATABASE_DIRECT_URL to the server itself';
  throw new OperatorError(`${cause.message}. ${remedy}`, { cause });
}
